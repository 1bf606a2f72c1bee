"""Predict a table in parts: it need not fit into memory, and a killed prediction resumes.

<output>.parts/plan.json       what is predicted, from which file, with which model
<output>.parts/000000.parquet  the predictions for the first rows
<output>.parts/000000.sha256   the digest of that file: an altered one is predicted again
"""

import contextlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow.parquet as pq

from nli_core import atomic
from nli_core.arrays import Floats
from nli_core.callbacks import Progress
from nli_core.data.corpus.layout import Table, TableFormat, format_of
from nli_core.data.corpus.locate import Source, position_of
from nli_core.data.corpus.reading import columns_of, read_parts
from nli_core.errors import UserError, reason_of
from nli_core.hashing import file_sha256
from nli_core.inference.predictions import join_parts, predictions_frame
from nli_core.inference.predictor import Window
from nli_core.locks import FileLock
from nli_core.log import LOGGER
from nli_core.model.answers import Answers

_PLAN, _DIGEST = "plan.json", ".sha256"
_WINDOW_ROWS = 1 << 12  # sorted by length, predicted and kept at a time: seconds on two cores


class TablePredictor(Protocol):
    """Predicts windows of texts, in their order: in this process or elsewhere. `Predictor` has the details."""

    answers: Answers
    inputs: tuple[str, ...]
    precision: str

    def windows(self, windows: Iterable[Window]) -> Iterator[Floats]:
        """Compute probabilities [texts, labels] of each window, in their order; take windows as they are needed."""


@dataclass(frozen=True)
class _Part:
    """Rows that are predicted at a time, and the file for their predictions."""

    path: Path
    first_row: int
    rows: int


def predict_table(
    predictor: TablePredictor,
    source: Path,
    target: Path,
    *,
    model: str,
    columns: Sequence[str] | None = None,
    keep_columns: bool = False,
    shown: str | None = None,
    progress: Progress = lambda _done, _total, _note: None,
) -> dict[str, Any]:
    """Predict every row of a CSV, TSV, JSONL or Parquet file; returns the facts.

    `target` gets a row for each, in their order, as `predictions_frame` says; its name says its format. `columns` are
    the premise's and the hypothesis', or the only text's; without them `predictor.inputs`. With `keep_columns` the
    table's own columns are written too. `model` is a digest of the model: what an earlier try predicted with the same
    one from the same file is kept. Errors call the file `shown`.

    Raises:
        UserError: the model takes another number of texts, the file cannot be read, lacks a column, or has a row
            without text, and nothing is predicted then; or the file changes meanwhile, or `target` cannot be written.
    """
    columns = predictor.inputs if columns is None else columns
    if len(set(columns)) < len(columns):
        raise UserError(
            f"--columns {','.join(columns)}: names a column twice; name the premise's, then the hypothesis'"
        )
    if len(columns) != len(predictor.inputs):
        raise UserError(
            f"the model takes {' and '.join(predictor.inputs)}, and not {', '.join(columns)}: name "
            f"{'both columns' if len(predictor.inputs) == 2 else 'one column'} with --columns"
        )
    named = Source(source, shown or str(source))
    format_ = plain_format(source, named.name)
    wanted = [*columns, *(_kept_columns(named, format_) if keep_columns else ())]
    table = Table(format_, dict.fromkeys(wanted, "name the columns with --columns"))
    rows = _checked_rows(named, table, columns)
    plan = {
        "source": file_sha256(source),
        "columns": list(columns),
        "keep_columns": keep_columns,
        "model": model,
        "precision": predictor.precision,
    }
    with _parts_of(target, json.dumps(plan, sort_keys=True)) as parts:
        done = kept = 0
        paths: list[Path] = []
        given: deque[tuple[_Part, pl.DataFrame]] = deque()

        def count(part: _Part) -> None:
            nonlocal done
            done += part.rows
            progress(done, rows, source.name)

        def missing() -> Iterator[Window]:
            nonlocal kept
            first_row = 0
            for window in _windows(named, table):
                part = _Part(parts / f"{len(paths):06d}.parquet", first_row, window.height)
                paths.append(part.path)
                first_row += part.rows
                if _is_intact(part):
                    kept += part.rows
                    count(part)
                else:
                    given.append((part, window))
                    yield [column.cast(pl.String).to_list() for column in window.select(columns)]

        for probabilities in predictor.windows(missing()):
            part, window = given.popleft()
            kept_columns = window if keep_columns else None
            frame = predictions_frame(probabilities, predictor.answers, part.first_row, kept_columns)
            with atomic.replacing(part.path) as partial:
                frame.write_parquet(partial)
            atomic.write_text(part.path.with_suffix(_DIGEST), file_sha256(part.path))
            count(part)
        if done != rows or file_sha256(source) != plan["source"]:
            _delete_parts(parts)  # which may hold rows of either content
            raise UserError(f"{named.name}: changed while it was predicted; rerun once nobody writes to it")
        join_parts(paths, target)
        _delete(parts)
    return {"rows": rows, "kept_rows": kept}


def _kept_columns(source: Source, format_: TableFormat) -> list[str]:
    """Return the columns that can be written beside the predictions; log the others."""
    columns = columns_of(source, format_)
    for name in (name for name, kind in columns if kind != "plain"):
        LOGGER.warning("%s: %s is left out, for it holds neither text nor numbers", source.name, name)
    return [name for name, kind in columns if kind == "plain"]


def _windows(source: Source, table: Table) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file that was checked; end where it has changed since then and cannot be read on."""
    with contextlib.suppress(UserError):
        for part in read_parts(source, table):
            yield from part.iter_slices(_WINDOW_ROWS)


def _is_intact(part: _Part) -> bool:
    """Return whether an earlier try left the predictions of these rows, and nobody has altered them."""
    try:
        intact = part.path.with_suffix(_DIGEST).read_bytes() == file_sha256(part.path).encode()
        return intact and pq.read_metadata(part.path).num_rows == part.rows
    except FileNotFoundError:
        return False


def plain_format(source: Path, shown: str) -> TableFormat:
    """Return the format of a file that can be predicted; errors call it `shown`.

    Raises:
        UserError: the file is missing, compressed, or of no known format.
    """
    if not source.is_file():
        other = "is no regular file; write its rows to one" if source.exists() else "there is no such file"
        raise UserError(f"{shown}: {'is a folder; name a file in it' if source.is_dir() else other}")
    if source.suffix == ".gz":
        raise UserError(f"{shown}: is compressed; unpack it first")
    return format_of(source)


def _checked_rows(source: Source, table: Table, columns: Sequence[str]) -> int:
    """Count the rows of a file, each of which has text in every column."""
    rows = 0
    for part in read_parts(source, table):
        texts = [pl.col(name).cast(pl.String).str.strip_chars().fill_null("") for name in columns]
        empty = part.select(pl.any_horizontal(text == "" for text in texts)).to_series().arg_true()
        if len(empty):
            position = position_of(source, table, rows + int(empty[0]))
            raise UserError(f"{source.name}, {position}: has no text in {' or '.join(columns)}; fix the row or drop it")
        rows += part.height
    if rows == 0:
        raise UserError(f"{source.name}: has no rows")
    return rows


@contextmanager
def _parts_of(target: Path, plan: str) -> Iterator[Path]:
    """Lock the folder of parts; delete those that another plan predicted.

    Raises:
        UserError: another process holds it, or the disk does not take what the block writes.
    """
    parts = target.with_name(f"{target.name}.parts")
    try:
        parts.mkdir(parents=True, exist_ok=True)
        with FileLock(parts) as lock:
            if not lock.try_acquire():
                raise UserError(f"{target}: another process is predicting into it; wait for it")
            atomic.discard_partial_files(parts)
            if not (parts / _PLAN).exists() and any(parts.iterdir()):
                raise UserError(f"{parts}: holds other files; move them, or name another file for the predictions")
            if not (parts / _PLAN).exists() or (parts / _PLAN).read_bytes() != plan.encode():
                _delete_parts(parts)
                atomic.write_text(parts / _PLAN, plan)
            yield parts
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({reason_of(error)}); fix it, then rerun to resume") from None


def _delete_parts(parts: Path) -> None:
    for suffix in (".parquet", _DIGEST):
        for path in parts.glob(f"{'[0-9]' * 6}{suffix}"):
            path.unlink()


def _delete(parts: Path) -> None:
    """Delete the parts, and their folder unless somebody put other files there."""
    _delete_parts(parts)
    (parts / _PLAN).unlink()
    with contextlib.suppress(OSError):
        parts.rmdir()
