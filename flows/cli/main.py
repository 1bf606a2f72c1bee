"""`nli`: the same flows from a terminal, without a worker.

Prefect, MLflow and torch are imported when a command needs them, so that help and listings are quick.
"""

import atexit
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from flows.cli.attention import attention
from flows.cli.compare import compare
from flows.cli.export import export
from flows.cli.output import JsonOption, complain, print_json, print_rows, say
from flows.cli.predict import predict
from flows.cli.promote import promote, rollback
from flows.cli.status import doctor, status
from flows.cli.store import store_app
from flows.cli.sweep import sweep
from flows.local.environment import DEBUG, quiet_libraries
from flows.local.launch import launched
from nli_core.config import STAGES, RunConfig, Stage, parse_config
from nli_core.errors import UserError
from tasks.recipes import Recipe, find_recipe, override, read_recipes, recipe_names
from tasks.settings import RECIPE_BOOK, Settings, project_root

USER_ERROR = 2
INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


def main() -> None:
    """Entry point of the console script: a user's error is one line on stderr and exit status 2.

    `--debug` may stand anywhere, and counts for the processes of a sweep too.
    """
    # Modules make many objects, and all of them stay: not looking for garbage among them saves half a second.
    gc.set_threshold(100_000, 50, 100)
    atexit.register(gc.freeze)
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ[DEBUG] = "1"
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:
            complain("stopped")
        sys.exit(status)
    except TyperException as misuse:
        if told := misuse.format_message():  # without a message typer has printed the help already
            context = getattr(misuse, "ctx", None)
            command = context.command_path if context else "nli"
            complain(f"{' '.join(told.split()).rstrip('.')}; `{command} --help` says how")
        sys.exit(misuse.exit_code)
    except UserError as error:
        if DEBUG in os.environ:
            traceback.print_exc()
        complain(str(error))
        sys.exit(USER_ERROR)


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Anywhere: show where an error comes from, and Prefect's own log.")
    ] = False,
) -> None:
    """Fine-tune BERT on pairs of sentences or on single texts: download, pack, finetune, evaluate."""


@app.command()
def recipes(json: JsonOption = False) -> None:
    """List the recipes of prefect.yaml.

    Example: nli recipes
    """
    found = read_recipes(project_root() / RECIPE_BOOK)
    if json:
        print_json(
            {recipe.name: {"description": recipe.description, "config": recipe.config} for recipe in found.values()}
        )
        return
    print_rows(("recipe", "what"), [(recipe.name, recipe.description) for recipe in found.values()])


@app.command()
def run(
    name: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="One of `nli recipes`.", autocompletion=recipe_names)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a field; the value is YAML.")
    ] = None,
    rerun: Annotated[
        list[str] | None, typer.Option("--rerun", metavar="STAGE", help="Do this stage again, and all after it.")
    ] = None,
    until: Annotated[Stage, typer.Option("--until", help="Stop after this stage.")] = "evaluate",
    from_mlflow: Annotated[
        str | None, typer.Option("--from-mlflow", metavar="RUN_ID", help="Instead of a recipe: repeat this MLflow run.")
    ] = None,
    promote_as: Annotated[
        str | None, typer.Option(metavar="NAME", help="Make the run champion of NAME in the registry if it is better.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say which stages would run, and why; run none.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a recipe here, reusing every stage that is finished already.

    Example: nli run sample --set finetune.epochs=1 --set finetune.learning_rate=1e-4
    """
    if (name is None) == (from_mlflow is None):
        raise UserError("name one recipe (`nli recipes` lists them), or the run to repeat: --from-mlflow RUN_ID")
    recipe = _repeated(from_mlflow) if from_mlflow else find_recipe(project_root() / RECIPE_BOOK, str(name))
    config = parse_config(override(recipe.config, settings or ()))
    again = [_stage(word) for word in rerun or ()]
    if late := [stage for stage in again if STAGES.index(stage) > STAGES.index(until)]:
        raise UserError(f"--rerun {late[0]}: comes after --until {until}; leave out one of the two")
    if explain:
        _explain(config, again, until, json)
        return
    with launched():
        from flows.pipeline import pipeline

        summary = pipeline(config, recipe=recipe.name, rerun=again, until=until, promote_as=promote_as)
    from flows.cli.run import as_json, print_summary

    if json:
        print_json(as_json(summary))
    else:
        print_summary(summary)


@app.command()
def ui(
    prefect_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of Prefect's UI.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of MLflow's UI.")] = 5000,
) -> None:
    """Start the Prefect and MLflow UIs on loopback; Ctrl-C stops both.

    Example: nli ui
    """
    from flows.cli.ui import serve

    quiet_libraries()
    serve(Settings.from_environment(), prefect_port=prefect_port, mlflow_port=mlflow_port)


def _repeated(run_id: str) -> Recipe:
    """What a run of MLflow was asked for; what differs from its surroundings is shown."""
    from tasks.runtime.provenance import differences, made_with
    from tasks.tracking.runs import read_repeat

    repeat = read_repeat(Settings.from_environment(), run_id)
    if differing := differences(repeat["made_with"], made_with()):
        print_rows(("differs", "then", "now"), differing, stderr=True)
    else:
        say("Same code, versions and hardware as then.", stderr=True)
    return Recipe(repeat["recipe"], "", repeat["config"])


def _explain(config: RunConfig, rerun: Sequence[Stage], until: Stage, json: bool) -> None:
    from nli_core.run.plan import explain

    verdicts = explain(config, Settings.from_environment().store, rerun=rerun, until=until)
    if json:
        print_json({verdict.stage: {"runs": verdict.runs, "reason": verdict.reason} for verdict in verdicts})
        return
    print_rows(
        ("stage", "", "why"), [(each.stage, "runs" if each.runs else "cached", each.reason) for each in verdicts]
    )


def _stage(word: str) -> Stage:
    """The stage of this name; typer itself takes no lists of choices."""
    for stage in STAGES:
        if stage == word:
            return stage
    raise UserError(f"--rerun {word}: there is no such stage; there are {', '.join(STAGES)}")


for command in (sweep, status, compare, promote, rollback, predict, export, attention, doctor):
    app.command()(command)
app.add_typer(store_app, name="store")
