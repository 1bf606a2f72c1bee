"""`nli predict`: a champion, or any model, on a file or on one example."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from flows.quiet import quiet_libraries
from nli_core.errors import UserError
from tasks.settings import Settings

if TYPE_CHECKING:
    from nli_core.evaluation.predictor import Predictor

_BAR = 40


def predict(
    model: Annotated[
        str, typer.Option(help="champion, a name in the registry (nli-snli@champion), the id of a run, or a folder.")
    ] = "champion",
    premise: Annotated[str | None, typer.Option(help="One example: its premise, or its only text.")] = None,
    hypothesis: Annotated[str | None, typer.Option(help="One example: its hypothesis.")] = None,
    source: Annotated[Path | None, typer.Option("--input", help="A CSV, TSV, JSONL or Parquet file.")] = None,
    target: Annotated[Path | None, typer.Option("--output", help="Where the predictions go, a Parquet file.")] = None,
    columns: Annotated[
        str, typer.Option(help="Columns of the file: the premise's and the hypothesis', or the only text's.")
    ] = "premise,hypothesis",
) -> None:
    """Predict every row of a file, in its order, or one example.

    A killed prediction goes on where it was: run the same command again.

    Example: nli predict --input pairs.csv --output labels.parquet
    """
    if (source is None) == (premise is None) or (source is None) != (target is None):
        raise UserError("predict: give --input and --output, or --premise (and --hypothesis)")
    if target and (target.suffix != ".parquet" or target.is_dir()):
        raise UserError(f"--output {target}: name a file that ends in .parquet")
    if source and target and source.resolve() == target.resolve():
        raise UserError(f"--output {target}: is the input; name another file")
    if source and hypothesis is not None:
        raise UserError("--hypothesis belongs to --premise; name the columns of a file with --columns")
    if (premise is not None and not premise.strip()) or (hypothesis is not None and not hypothesis.strip()):
        raise UserError("predict: --premise and --hypothesis need some text")
    names = [name.strip() for name in columns.split(",")]
    if len(names) not in (1, 2) or not all(names):
        raise UserError(f"--columns {columns}: name one column or two, such as premise,hypothesis")
    quiet_libraries()
    from nli_core.evaluation.predictor import Predictor
    from nli_core.model.export import is_fine_tuned
    from tasks.model_files import model_folder

    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(model, Settings.from_environment(), Path(scratch))
        if not is_fine_tuned(folder):
            raise UserError(f"{model}: is an encoder that was not fine-tuned; name a run or a model of the registry")
        if premise is not None:
            _print_one(Predictor(folder), premise, hypothesis)
        elif source is not None and target is not None:
            _predict_file(folder, source, target, names)


def _print_one(predictor: "Predictor", premise: str, hypothesis: str | None) -> None:
    (probabilities,) = predictor.probabilities([premise], None if hypothesis is None else [hypothesis])
    table = Table(box=None, pad_edge=False, show_header=False)
    for label, value in zip(predictor.labels, probabilities, strict=True):
        best = value == probabilities.max()
        table.add_row(label, "█" * round(_BAR * value), f"{value:.4f}", style="bold" if best else None)
    Console(highlight=False, markup=False).print(table)


def _predict_file(folder: Path, source: Path, target: Path, columns: list[str]) -> None:
    from nli_core.data.fast_tokenizer import FastTokenizer
    from nli_core.durable import digests
    from nli_core.evaluation.bulk import predict_table
    from nli_core.evaluation.predictor import Predictor

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        row = bar.add_task(source.name, total=None)
        facts = predict_table(
            Predictor(folder, FastTokenizer),
            source,
            target,
            columns=columns,
            model=str(sorted(digests(folder).items())),
            progress=lambda done, total, note: bar.update(row, completed=done, total=total, description=note),
        )
    kept = f", {facts['kept_rows']:,} of them by an earlier try" if facts["kept_rows"] else ""
    Console(soft_wrap=True, highlight=False, markup=False).print(f"{facts['rows']:,} rows{kept}: {target}")
