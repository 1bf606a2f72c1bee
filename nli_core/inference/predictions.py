"""What a prediction of a table looks like: its columns, and the file that is joined from its parts."""

import glob
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from nli_core import atomic
from nli_core.arrays import Floats
from nli_core.errors import UserError
from nli_core.model.answers import Answers

ENDINGS = (".parquet", ".csv", ".tsv", ".jsonl")
_JOINED = 32  # parts that become one row group


def check_ending(target: str) -> None:
    """Raise UserError unless the name of a file for predictions says a format that can be written."""
    if Path(target).suffix not in ENDINGS:
        raise UserError(f"{target}: name a file that ends in {', '.join(ENDINGS)} for the predictions")


def predictions_frame(
    probabilities: Floats, answers: Answers, first_row: int, kept: pl.DataFrame | None
) -> pl.DataFrame:
    """Return a row for each text: its answer, the answer's probability, its row in the table, and all probabilities.

    The columns of the table in `kept` follow. One that is called like a column of ours becomes `input/<name>`.
    """
    frame = pl.DataFrame(
        {
            "label": answers.texts(answers.chosen(probabilities)),
            "probability": answers.certainty(probabilities),
            "row": pl.int_range(first_row, first_row + len(probabilities), eager=True),
            **{f"probability/{label}": probabilities[:, index] for index, label in enumerate(answers.labels)},
        }
    )
    if kept is None:
        return frame
    taken = {*frame.columns, *kept.columns}
    others: dict[str, str] = {}
    for name in kept.columns:
        if name in frame.columns:
            others[name] = f"input/{name}"
            while others[name] in taken:
                others[name] = f"input/{others[name]}"
            taken.add(others[name])
    return frame.hstack(kept.rename(others))


def join_parts(parts: Sequence[Path], target: Path) -> None:
    """Join Parquet files to one file in the format that its name says, with some of them in memory at a time."""
    for stale in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):  # of a killed process: we hold the lock
        stale.unlink()
    with atomic.replacing(target) as partial:
        if target.suffix == ".parquet":
            _join_parquet(parts, partial)
        else:
            _join_text(parts, partial, target.suffix)


def _join_parquet(parts: Sequence[Path], target: Path) -> None:
    with pq.ParquetWriter(target, pq.read_schema(parts[0])) as writer:
        for first in range(0, len(parts), _JOINED):
            writer.write_table(pa.concat_tables(map(pq.read_table, parts[first : first + _JOINED])))


def _join_text(parts: Sequence[Path], target: Path, ending: str) -> None:
    with target.open("wb") as file:
        for number, part in enumerate(parts):
            frame = pl.read_parquet(part)
            if ending == ".jsonl":
                frame.write_ndjson(file)
            else:
                frame.write_csv(file, include_header=number == 0, separator="\t" if ending == ".tsv" else ",")
