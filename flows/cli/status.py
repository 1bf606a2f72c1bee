"""`nli status` and `nli doctor`: what there is, and whether the surroundings are fit."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.output import JsonOption, print_json, print_rows, say
from flows.local.environment import quiet_libraries
from nli_core.config import parse_config
from nli_core.errors import UserError
from tasks.recipes import find_recipe, override, read_recipes, recipe_names
from tasks.settings import RECIPE_BOOK, Settings, project_root


def status(json: JsonOption = False) -> None:
    """Show what is running, what is stored, the last runs and the champions.

    Example: nli status
    """
    quiet_libraries()
    from tasks.operations.status import overview

    settings = Settings.from_environment()
    now = overview(settings)
    if json:
        print_json(asdict(now))
        return
    print_rows(("running", "working on"), [(", ".join(now.flow_runs) or "nothing", ", ".join(now.working))])
    say()
    rows = [(stage, str(kept.outputs), f"{kept.mebibytes:,.1f}") for stage, kept in now.stored.items()]
    print_rows(("stored", "outputs", "MiB"), rows)
    say(f"in {settings.store.root}\n")
    last = [(run.run_id[:12], run.name, run.status, run.started, _accuracy(run.test_accuracy)) for run in now.runs]
    print_rows(("last runs", "name", "status", "started (UTC)", "test accuracy"), last)
    say(f"in MLflow at {settings.shown_tracking_uri}\n")
    best = [(one.model, one.version, one.run_id[:12], _accuracy(one.test_accuracy)) for one in now.champions]
    print_rows(("champion", "version", "run", "test accuracy"), best or [("none yet", "", "", "")])


def doctor(
    recipe: Annotated[
        str | None, typer.Argument(help="Look at its data alone; otherwise all recipes'.", autocompletion=recipe_names)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a field, such as corpus.source.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Look at versions, processor, GPU, store, servers and data; exit status 2 if something is at fault.

    Example: nli doctor snli-minilm --set corpus.source=https://mirror.example/snli_1.0.zip
    """
    quiet_libraries()
    from tasks.operations.doctor import diagnose

    if settings and not recipe:
        raise UserError("doctor: --set needs the recipe whose field it is; nli doctor RECIPE --set FIELD=VALUE")
    book = project_root() / RECIPE_BOOK
    if recipe:
        asked = [find_recipe(book, recipe)]
    else:  # a recipe for one's own files has none before --set names them
        asked = [each for each in read_recipes(book).values() if each.config["corpus"]["name"] != "file"]
    configs = [parse_config(override(each.config, settings or ())) for each in asked]
    findings = []
    with Console(stderr=True).status("looking") as shown:
        for finding in diagnose(Settings.from_environment(), configs, needed=recipe is not None):
            findings.append(finding)
            shown.update(f"looked at {finding.what}")
    if json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        print_rows(("looked at", "", "found"), [(each.what, each.verdict, each.found) for each in findings])
        for each in findings:
            if each.remedy:
                say(f"{each.what}: {each.remedy}")
    if faults := [each.what for each in findings if each.verdict == "fault"]:
        raise UserError(f"doctor: {', '.join(faults)} must be mended before a run")


def _accuracy(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
