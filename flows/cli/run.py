"""`nli recipes` and `nli run`: what can be run, and a run with the summary at its end."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.arguments import filled
from flows.cli.exit_status import MISSED
from flows.cli.output import JsonOption, echo, print_json, print_rows
from flows.local.launch import local_session
from nli_core.config import STAGES, Stage
from nli_core.errors import UserError
from nli_core.evaluation.headline import headline_figures
from nli_core.evaluation.requirements import requirements_sentence
from nli_core.run.ahead import hash_ahead
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.kinds import KINDS, kinds_until
from nli_core.run.overrides import override
from tasks.recipes import Recipe, find_recipe, read_recipes, recipe_names
from tasks.settings import RECIPE_BOOK, Settings, project_root

if TYPE_CHECKING:
    from flows.summary import RunSummary


def recipes(json: JsonOption = False) -> None:
    """List all recipes: those of prefect.yaml, and your own.

    Example: nli recipes
    """
    found = read_recipes(project_root() / RECIPE_BOOK)
    if json:
        print_json(
            {recipe.name: {"description": recipe.description, "config": recipe.config} for recipe in found.values()}
        )
        return
    print_rows(("recipe", "description"), [(recipe.name, recipe.description) for recipe in found.values()])


def run(
    name: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="One of `nli recipes`.", autocompletion=recipe_names)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a field; the value is YAML.")
    ] = None,
    rerun: Annotated[
        list[str] | None, typer.Option("--rerun", metavar="STAGE", help="Rerun this stage, and what is made from it.")
    ] = None,
    until: Annotated[Stage, typer.Option("--until", help="Stop after this stage.")] = "evaluate",
    from_mlflow: Annotated[
        str | None, typer.Option("--from-mlflow", metavar="RUN_ID", help="Instead of a recipe: repeat this MLflow run.")
    ] = None,
    promote_as: Annotated[
        str | None, typer.Option(metavar="NAME", help="Make the run champion of NAME in the registry if it is better.")
    ] = None,
    run_name: Annotated[
        str | None, typer.Option("--name", callback=filled, help="What Prefect and MLflow call the run.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print which stages would run, and why; run none.")
    ] = False,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Train with so many seeds, from finetune.seed on, as a group.")
    ] = 1,
    require: Annotated[
        bool, typer.Option("--require", help="Exit with status 3 if the model misses evaluate.requirements.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run a recipe here, and reuse every cached stage.

    Example: nli run sample --set finetune.epochs=1 --set finetune.learning_rate=1e-4
    """
    if name and from_mlflow:
        raise UserError(f"--from-mlflow {from_mlflow}: brings a recipe of its own; leave out {name}")
    if not name and not from_mlflow:
        raise UserError("run: name one recipe (`nli recipes` lists them), or pass --from-mlflow RUN_ID")
    recipe = _repeated(from_mlflow) if from_mlflow else find_recipe(project_root() / RECIPE_BOOK, str(name))
    config = parse_config(override(recipe.config, settings or ()))
    again = [_stage(word) for word in rerun or ()]
    if require and (config.evaluate.requirements.is_empty or until != "evaluate"):
        raise UserError("--require: nothing is required; set evaluate.requirements, and leave out --until")
    if left_out := [stage for stage in again if not set(KINDS[stage]) & set(kinds_until(until, config))]:
        raise UserError(f"--rerun {left_out[0]}: is no stage that --until {until} runs; use one of them")
    if seeds > 1:
        given = {"--rerun": again, "--until": until != "evaluate", "--promote-as": promote_as, "--name": run_name}
        if wrong := [option for option, value in given.items() if value]:
            raise UserError(f"{wrong[0]}: is for a single run; leave it out, or --seeds")
    if explain:
        _explain(config, again, until, json)
        return
    if seeds > 1:
        _run_seeds(config, recipe.name, seeds, require, json)
        return
    hash_ahead(config, Settings.from_environment().store, until)
    with local_session():
        from prefect import tags

        from flows.pipeline import pipeline

        named = pipeline.with_options(flow_run_name=lambda: run_name) if run_name else pipeline
        with tags(recipe.name):
            summary = named(config=config, recipe=recipe.name, rerun=again, until=until, promote_as=promote_as)
    if json:
        print_json(summary.as_json())
    else:
        _print_summary(summary)
    if require and summary.missed:
        raise typer.Exit(MISSED)


def _run_seeds(config: RunConfig, recipe: str, seeds: int, require: bool, json: bool) -> None:
    """Run a recipe with several seeds, and print what they say together."""
    with local_session():
        from flows.sweep import sweep

        done = sweep(config, seeds=seeds, recipe=recipe)
    from tasks.comparison.groups import FIGURES_HEADER, figure_rows, find_group, group_figures
    from tasks.models.champion import missed_by
    from tasks.tracking.client import mlflow_client

    settings = Settings.from_environment()
    with mlflow_client(settings) as client:
        group = find_group(client, settings, done.mlflow_run_id)
        figures = group_figures(client, group)
        missed = missed_by(group)
    if json:
        runs = [run.info.run_id for run in group.runs]
        plain = {name: asdict(figure) for name, figure in figures.items()}
        found = {"mlflow_run_id": done.mlflow_run_id, "runs": runs, "figures": plain}
        print_json({**found, "missed_requirements": missed})
    else:
        print_rows(FIGURES_HEADER, figure_rows(figures))
        echo("".join(f"\n{each}" for each in missed))
        echo(f"\n{seeds} seeds. MLflow run of the group: {done.mlflow_run_id}")
    if require and missed:
        raise typer.Exit(MISSED)


def _repeated(run_id: str) -> Recipe:
    """Read what an MLflow run was asked for, and print what differs in code, versions and hardware."""
    from tasks.runtime.provenance import differences, made_with
    from tasks.tracking.runs import read_repeat

    repeat = read_repeat(Settings.from_environment(), run_id)
    if differing := differences(repeat["made_with"], made_with()):
        print_rows(("differs", "then", "now"), differing, stderr=True)
    else:
        echo("Same code, versions and hardware as then.", stderr=True)
    return Recipe(repeat["recipe"], "", repeat["config"])


def _explain(config: RunConfig, rerun: Sequence[Stage], until: Stage, json: bool) -> None:
    from nli_core.run.explain import explain
    from tasks.runtime.sharing import found_in_bucket

    settings = Settings.from_environment()
    with found_in_bucket(settings) as elsewhere:
        plans = explain(config, settings.store, elsewhere, rerun=rerun, until=until)
    if json:
        print_json({plan.kind: {"runs": plan.runs, "reason": plan.reason} for plan in plans})
        return
    print_rows(("output", "", "why"), [(each.kind, each.action, each.reason) for each in plans])


def _stage(word: str) -> Stage:
    """Return the stage of this name; typer itself takes no lists of choices."""
    for stage in STAGES:
        if stage == word:
            return stage
    raise UserError(f"--rerun {word}: there is no such stage; choose one of {', '.join(STAGES)}")


def _print_summary(summary: "RunSummary") -> None:
    """Print stages, states and seconds, the headline figures, and where to look next."""
    outputs = [
        (kind, result.state_name, f"{result.seconds:.1f}", result.output.key[:12])
        for kind, result in summary.outputs.items()
    ]
    print_rows(("output", "state", "seconds", "key"), outputs)
    if all(result.state_name == "Cached" for result in summary.outputs.values()):
        echo("Nothing to do: every stage was cached.")
    echo()
    figures: list[tuple[str, str]] = []
    if "evaluate" in summary.outputs:
        for split in ("dev", "test"):
            for name, text in headline_figures(summary.metrics, split).items():
                figures.append((f"{split} {name}", f"{text}  (95 % interval)"))
    if "finetune" in summary.outputs:
        facts = summary.outputs["finetune"].output.facts
        if "evaluate" not in summary.outputs:
            best = f"{facts['best_dev']['dev/accuracy']:.4f}, in epoch {facts['best_epoch']}"
            figures.append(("dev accuracy", best))
        speed = f"{facts['examples_per_second']} examples/s, {facts['precision']} on {facts['device']}"
        figures.append(("training", speed))
    for kind in ("corpus", "encoder"):
        if kind in summary.outputs:
            origin = summary.outputs[kind].output.facts
            figures.append((kind, f"{origin['source']} ({'verified' if origin['verified'] else 'unverified'})"))
    if summary.missed is not None:
        figures.append(("verdict", requirements_sentence(summary.missed)))
    if summary.promotion:
        figures.append(("champion", summary.promotion))
    links = [result.run for result in summary.outputs.values() if result.run]
    page = links[-1].address if links else None
    if links:
        figures.append(("MLflow run", page or links[-1].run_id))
    if flow_run := _flow_run_page(summary.flow_run_id):
        figures.append(("flow run", flow_run))
    print_rows((), figures)
    if not (page and flow_run):
        tracked = " and the curves and figures in MLflow" if links else ""
        echo(f"\nLook next: `make ui` opens the flow run in Prefect{tracked}.")


def _flow_run_page(flow_run_id: str) -> str | None:
    """Return the address of a flow run's page; none without a server that outlives the command."""
    from prefect.settings import PREFECT_API_URL
    from prefect.utilities.urls import url_for

    return url_for("flow-run", obj_id=flow_run_id) if PREFECT_API_URL.value() else None
