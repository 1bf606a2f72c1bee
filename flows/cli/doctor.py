"""`nli doctor`: check whether this machine is ready for runs."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.output import JsonOption, echo, print_json, print_rows
from flows.local.environment import set_library_defaults
from nli_core.errors import UserError
from nli_core.run.config import parse_config
from nli_core.run.overrides import override
from tasks.recipes import find_recipe, read_recipes, recipe_names
from tasks.settings import RECIPE_BOOK, Settings, project_root


def doctor(
    recipe: Annotated[
        str | None,
        typer.Argument(help="Check its data alone; otherwise that of all recipes.", autocompletion=recipe_names),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a field, such as corpus.source.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check versions, processor, GPU, store, servers and data; exit status 2 for an error.

    Example: nli doctor snli-minilm --set corpus.source=https://mirror.example/snli_1.0.zip
    """
    set_library_defaults()
    from tasks.operations.doctor import diagnose

    if settings and not recipe:
        raise UserError("doctor: --set needs a recipe; run `nli doctor RECIPE --set FIELD=VALUE`")
    book = project_root() / RECIPE_BOOK
    asked = [find_recipe(book, recipe)] if recipe else list(read_recipes(book).values())
    configs = [parse_config(override(each.config, settings or ())) for each in asked]
    if not recipe:  # a recipe for a user's own files has none before --set names them
        configs = [config for config in configs if config.corpus.is_published]
    findings = []
    with Console(stderr=True).status("checking") as shown:
        for finding in diagnose(Settings.from_environment(), configs, needed=recipe is not None):
            findings.append(finding)
            shown.update(f"checked {finding.what}")
    if json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        print_rows(("checked", "", "found"), [(each.what, each.verdict, each.found) for each in findings])
        for remedy in dict.fromkeys(each.remedy for each in findings if each.remedy):
            whose = "; ".join(each.what for each in findings if each.remedy == remedy)
            echo(f"{whose}: {remedy}")
    if faults := [each.what for each in findings if each.verdict == "error"]:
        raise UserError(f"doctor: fix {', '.join(faults)} before running")
