"""`nli init`: a recipe for a table of one's own."""

from typing import Annotated

import typer

from flows.cli.arguments import filled
from flows.cli.output import JsonOption, echo, print_json, print_rows
from nli_core.printable import printable

_SHOWN_LABELS = 20
_SHOWN_CHARACTERS = 50


def init(
    file: Annotated[str, typer.Argument(callback=filled, help="A CSV, TSV, JSONL or Parquet file, also gzipped.")],
    name: Annotated[
        str | None, typer.Option(callback=filled, help="The recipe's name; by default that of the file.")
    ] = None,
    premise: Annotated[
        str | None, typer.Option(callback=filled, help="Column of the premise or the only text, or several by commas.")
    ] = None,
    hypothesis: Annotated[
        str | None, typer.Option(callback=filled, help="Column of the hypothesis, for pairs.")
    ] = None,
    label: Annotated[str | None, typer.Option(callback=filled, help="Column of the label.")] = None,
    label_separator: Annotated[
        str | None, typer.Option(callback=filled, help="What is between the labels of a row that may have several.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Look at a table, guess its columns and labels, and write a recipe for it.

    Example: nli init news.csv
    """
    from tasks.operations.own_data import write_own_recipe

    named = [column.strip() for column in premise.split(",")] if premise else []
    own = write_own_recipe(file, name, named, hypothesis, label, label_separator)
    guess = own.guess
    uses = {guess.label: "label", guess.hypothesis: "hypothesis"}
    uses |= dict.fromkeys(guess.premise, "premise" if guess.hypothesis else "text")
    if json:
        columns = {column: uses.get(column) for column in guess.head.columns}
        print_json(
            {
                "recipe": own.recipe,
                "path": str(own.path),
                "columns": columns,
                "labels": dict(own.labels),
                "notes": own.notes,
            }
        )
        return
    rows = [
        (printable(column), uses.get(column, "unused"), _short(next(filter(None, guess.head[column]), None)))
        for column in guess.head.columns
    ]
    print_rows(("column", "taken as", "for instance"), rows)
    echo()
    counts = [(printable(value), f"{count:,}") for value, count in own.labels.items()]
    print_rows(("label", "rows"), counts[:_SHOWN_LABELS])
    if len(counts) > _SHOWN_LABELS:
        echo(f"and {len(counts) - _SHOWN_LABELS:,} more")
    for note in own.notes:
        echo(note)
    echo(f"\n{own.path} is written. Change it where the guess is wrong, then: nli run {own.recipe}")


def _short(value: object) -> str:
    text = printable(str(value if value is not None else ""))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
