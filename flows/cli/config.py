"""`nli config`: the fields that a recipe and `--set` can have."""

from typing import Annotated

import typer

from flows.cli.arguments import filled
from flows.cli.output import JsonOption, print_json, print_rows
from nli_core.run.config import parse_config
from tasks.recipes import find_recipe, recipe_names
from tasks.settings import RECIPE_BOOK, project_root


def config(
    field: Annotated[
        str | None, typer.Argument(callback=filled, help="A field or a section, such as finetune.epochs or pack.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(callback=filled, help="Show its values in this recipe.", autocompletion=recipe_names),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the fields of a config: type, bounds, default, and what each means.

    Example: nli config finetune --recipe sample
    """
    from nli_core.run.fields import all_fields, find_fields, value_of

    fields = find_fields(field) if field else all_fields()
    values: list[str | None] = [None] * len(fields)
    if recipe:
        parsed = parse_config(find_recipe(project_root() / RECIPE_BOOK, recipe).config)
        fields = [each for each in fields if value_of(parsed, each) is not None]
        values = [value_of(parsed, each) for each in fields]
    if json:
        listed = [{**vars(each), "value": value} for each, value in zip(fields, values, strict=True)]
        print_json({"fields": listed})
        return
    rows = [
        (
            each.path,
            *([str(value)] if recipe else []),
            each.default,
            each.type,
            each.description + (f" ({each.section} {' or '.join(each.kinds)})" if each.kinds else ""),
        )
        for each, value in zip(fields, values, strict=True)
    ]
    print_rows(("field", *(["value"] if recipe else []), "default", "type", "meaning"), rows)
