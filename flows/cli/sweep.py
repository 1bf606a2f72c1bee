"""`nli sweep`: a recipe with several values and seeds, all products of them or what a search draws."""

from dataclasses import asdict
from typing import Annotated

import typer

from flows.cli.output import JsonOption, echo, print_json, print_rows
from flows.local.launch import local_session
from nli_core.errors import UserError
from nli_core.run.config import parse_config
from nli_core.run.overrides import override, parse_grid, split_settings
from nli_core.run.sweep import PruningRule, Sweep
from tasks.recipes import find_recipe, recipe_names
from tasks.settings import RECIPE_BOOK, project_root


def sweep(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="One of `nli recipes`.", autocompletion=recipe_names)],
    grid: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=V1,V2", help="Values to try; of several fields, all products.")
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=RANGE",
            help="What Optuna may draw: log(LOW,HIGH), uniform(LOW,HIGH), int(LOW,HIGH) or V1,V2.",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many trials a search has, earlier ones included; by default 20.")
    ] = None,
    prune: Annotated[
        PruningRule | None, typer.Option(help="Stop bad trials early, by dev's accuracy after each epoch.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="How many seeds each gets.")] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Number of concurrent runs; by default one per GPU, else 1."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a field in all runs.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run a recipe with several values and seeds: the mean on dev chooses. Rerun an interrupted sweep to resume it.

    Example: nli sweep sample --search 'finetune.learning_rate=log(1e-5,5e-4)' --trials 30 --prune median
    """
    recipe = find_recipe(project_root() / RECIPE_BOOK, name)
    config, tried = parse_config(override(recipe.config, settings or ())), parse_grid(grid or ())
    drawn = split_settings("--search", search or (), "finetune.learning_rate=log(1e-5,5e-4)")
    if not tried and not drawn and seeds == 1:
        raise UserError("sweep: give --grid, --search, or --seeds above 1; `nli run` runs a recipe once")
    Sweep(recipe.name, config, tried, drawn, seeds).check(trials, prune)
    with local_session():
        from flows.sweep import sweep as run_sweep

        done = run_sweep(config, tried, seeds, recipe.name, jobs, drawn, trials, prune)
    if json:
        found = {"trials": [asdict(trial) for trial in done.result.trials], **asdict(done.result)}
        print_json({"mlflow_run_id": done.mlflow_run_id, **found})
        return
    from nli_core.evaluation.sweep import HEADER, chosen, sweep_rows

    print_rows(HEADER, sweep_rows(done.result))
    echo(f"\n{chosen(done.result)} MLflow run {done.mlflow_run_id}")
