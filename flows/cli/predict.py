"""`nli predict`: a champion, or any model, on a file or on one example."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.arguments import filled
from flows.cli.output import JsonOption, echo, print_json
from flows.local.environment import set_library_defaults
from flows.local.launch import log_to_stderr
from nli_core.errors import UserError
from nli_core.printable import printable
from tasks.settings import Settings

if TYPE_CHECKING:
    from nli_core.inference.predictor import Predictor

_BAR = 40


def predict(
    model: Annotated[
        str,
        typer.Option(
            callback=filled, help="champion, a registry name (nli-snli@champion), a run ID or prefix, or a folder."
        ),
    ] = "champion",
    premise: Annotated[
        str | None, typer.Option(callback=filled, help="One example: its premise, or its only text.")
    ] = None,
    hypothesis: Annotated[str | None, typer.Option(callback=filled, help="One example: its hypothesis.")] = None,
    source: Annotated[
        str | None,
        typer.Option("--input", callback=filled, help="A CSV, TSV, JSONL or Parquet file, or its address (s3://...)."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--output",
            callback=filled,
            help="Where the predictions go, a Parquet, CSV, TSV or JSONL file, or its address (s3://...).",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of the file; by default premise,hypothesis, or text for a model of single texts."),
    ] = None,
    keep_columns: Annotated[bool, typer.Option(help="Write the input's columns beside the predictions.")] = False,
    json: JsonOption = False,
) -> None:
    """Predict every row of a file, in its order, or one example.

    Rerun a killed prediction to resume it.

    Example: nli predict --input pairs.csv --output labels.csv --keep-columns
    """
    if premise is not None and (source or target):
        raise UserError(
            f"--premise: is one example, and --{'input' if source else 'output'} a file; leave out one of them"
        )
    if premise is None and not (source and target):
        raise UserError("predict: give --input and --output, or --premise (and --hypothesis)")
    if source and hypothesis is not None:
        raise UserError("--hypothesis belongs to --premise; name the columns of a file with --columns")
    names = None if columns is None else [name.strip() for name in columns.split(",")]
    if names is not None and not (len(names) in (1, 2) and all(names)):
        raise UserError(f"--columns {columns}: name one column or two, such as premise,hypothesis")
    set_library_defaults()
    from nli_core.inference.predictor import Predictor
    from tasks.models.resolve import fine_tuned

    settings = Settings.from_environment()
    if premise is not None:
        with fine_tuned(settings, model) as folder:
            _print_one(Predictor(folder), premise, hypothesis, json)
    elif source is not None and target is not None:
        _predict_file(settings, model, source, target, names, keep_columns, json)


def _print_one(predictor: "Predictor", premise: str, hypothesis: str | None, json: bool) -> None:
    from nli_core.model.answers import MultiLabel

    (probabilities,) = predictor.probabilities([premise], None if hypothesis is None else [hypothesis])
    chosen = predictor.answers.chosen(probabilities[None])
    (answer,) = predictor.answers.texts(chosen)
    by_label = dict(zip(predictor.labels, probabilities.tolist(), strict=True))
    if json:
        print_json({"label": answer, "probabilities": by_label})
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for (label, value), has in zip(by_label.items(), chosen[0], strict=True):
        marked = ["yes" if has else ""] if isinstance(predictor.answers, MultiLabel) else []
        style = "bold" if has else None
        table.add_row(printable(label), "█" * round(_BAR * value), f"{value:.4f}", *marked, style=style)
    Console(highlight=False, markup=False).print(table)


def _predict_file(
    settings: Settings,
    model: str,
    source: str,
    target: str,
    columns: list[str] | None,
    keep_columns: bool,
    json: bool,
) -> None:
    from tasks.models.predict import predict_file
    from tasks.runtime.shown_progress import ShownProgress

    with log_to_stderr(), ShownProgress("predict") as progress:
        facts = predict_file(settings, model, source, target, columns, progress, keep_columns=keep_columns)
    if json:
        print_json({**facts, "output": target})
        return
    kept = f", {facts['kept_rows']:,} of them by an earlier try" if facts["kept_rows"] else ""
    echo(f"{facts['rows']:,} rows{kept}: {target}")
