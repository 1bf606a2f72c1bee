"""Reading a corpus' tables: cleaned, checked and streamed into one Arrow file of text a split.

polars reads lazily and writes as it reads, so memory stays flat as rows grow. A row that cannot be used stops the
work with its file and line, or is dropped and counted where the layout or the config says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from nli_core.data.faults import Source, check_utf8, first_malformed, position_of
from nli_core.data.layout import SPLITS, CorpusLayout, Split, TableFormat
from nli_core.errors import UserError

_SHOWN_CHARACTERS = 60
_DIALECTS: Mapping[TableFormat, dict[str, Any]] = {
    "csv": {},
    "tsv": {"separator": "\t"},
    "raw_tsv": {"separator": "\t", "quote_char": None},
}
_Row = dict[str, Any]


@dataclass(frozen=True)
class CleanTable:
    """One split's text: `path` is an Arrow IPC file with id, label and the texts; `dropped` counts rows by reason."""

    path: Path
    rows: int
    dropped: dict[str, int]


def clean_tables(
    layout: CorpusLayout,
    corpus: Path,
    out: Path,
    *,
    empty_text: Literal["error", "drop"],
    names: Mapping[Split, str],
) -> dict[Split, CleanTable]:
    """Write each file of the corpus to `out` as `<split>.arrow` with the columns

    id: uint32, row of the example in its file, from 0; label: uint16, place in `layout.labels`; premise, and where
    the layout names them hypothesis, premise_parse, hypothesis_parse: strings. `names` is what errors call the files.

    Raises:
        UserError: names file, line and value of the first row that cannot be used.
    """
    return {
        split: _clean(
            layout,
            Source(corpus / layout.files[split], names.get(split, layout.files[split])),
            out / f"{split}.arrow",
            empty_text,
        )
        for split in SPLITS
        if split in layout.files
    }


def _clean(layout: CorpusLayout, source: Source, target: Path, empty_text: str) -> CleanTable:
    texts = {"premise": layout.premise} | {
        name: (column,)
        for name in ("hypothesis", "premise_parse", "hypothesis_parse")
        if (column := getattr(layout, name)) is not None
    }
    checked = [name for name in ("premise", "hypothesis") if name in texts]
    values = list(layout.label_values or layout.labels)
    try:
        frame = _scan(source, layout)
        rows = frame.select(
            pl.col("id"),
            pl.col(layout.label).cast(pl.String).alias("label"),
            *(_joined(columns).alias(name) for name, columns in texts.items()),
        )
        unlabelled = pl.col("label").is_in(list(layout.drop_labels))
        known = pl.col("label").is_in(values).fill_null(False)
        empty = pl.any_horizontal(pl.col(name).str.strip_chars().fill_null("") == "" for name in checked)
        labelled = rows.filter(~unlabelled.fill_null(False))
        _refuse_short_rows(frame, source, layout)
        _refuse_first(labelled.filter(~known), source, layout, lambda row: _label_fault(row, layout))
        if empty_text == "error":
            remedy = "mend it or set pack.empty_text=drop"
            _refuse_first(labelled.filter(empty), source, layout, lambda row: f"{_empty(row, texts)}; {remedy}")
        counts = rows.select(
            pl.len().alias("all"),
            unlabelled.sum().alias("label"),
            (empty & ~unlabelled.fill_null(False)).sum().alias("empty text"),
        ).collect(engine="streaming")
        total, dropped_labels, empties = counts.row(0)
        kept = labelled.filter(~empty).with_columns(
            pl.col("label").replace_strict(values, range(len(values)), return_dtype=pl.UInt16)
        )
        kept.sink_ipc(target, maintain_order=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(first_malformed(source, layout) or _unreadable(source, error)) from None
    kept_rows = total - dropped_labels - empties
    if kept_rows == 0:
        raise UserError(
            f"{source.name}: no rows are left of {total}; {layout.remedy('check corpus.label and corpus.labels')}"
        )
    dropped = {f"label {'/'.join(layout.drop_labels)}": dropped_labels, "empty text": empties}
    return CleanTable(target, kept_rows, {reason: count for reason, count in dropped.items() if count})


def _scan(source: Source, layout: CorpusLayout) -> pl.LazyFrame:
    path = source.path
    if path.stat().st_size == 0:
        raise UserError(f"{source.name}: is empty")
    if layout.format != "parquet":
        check_utf8(source)
    if layout.format == "jsonl":
        frame = pl.scan_ndjson(path, infer_schema_length=1000)
    elif layout.format == "parquet":
        frame = pl.scan_parquet(path)
    else:
        header, dialect = layout.columns is None, _DIALECTS[layout.format]
        frame = pl.scan_csv(path, infer_schema=False, has_header=header, new_columns=layout.columns, **dialect)
    present = frame.collect_schema().names()
    wanted = [*(("premise", column) for column in layout.premise), ("hypothesis", layout.hypothesis)]
    for field, column in [*wanted, ("label", layout.label)]:
        if column is not None and column not in present:
            columns = ", ".join(map(repr, present))
            raise UserError(
                f"{source.name}: has no column {column!r}, only {columns}; {layout.remedy(f'set corpus.{field}')}"
            )
    return frame.with_row_index("id") if "id" not in present else frame.drop("id").with_row_index("id")


def _unreadable(source: Source, error: Exception) -> str:
    reason = next(iter(str(error).splitlines()), type(error).__name__)  # polars goes on with advice to programmers
    return f"{source.name}: cannot be read ({reason})"


def _joined(columns: Sequence[str]) -> pl.Expr:
    """What stands in the columns, joined by spaces; an empty one among several adds nothing."""
    texts = [pl.col(column).cast(pl.String) for column in columns]
    if len(texts) == 1:
        return texts[0]
    return pl.concat_str([text.replace("", None) for text in texts], separator=" ", ignore_nulls=True)


def _refuse_short_rows(frame: pl.LazyFrame, source: Source, layout: CorpusLayout) -> None:
    """polars fills up rows that end early; where every column counts, a row that lacks one is a fault."""
    if layout.columns is not None:
        lacking = frame.filter(pl.any_horizontal(pl.col(*layout.columns).is_null())).head(1)
        if lacking.collect(engine="streaming").height and (fault := first_malformed(source, layout)):
            raise UserError(fault)


def _refuse_first(rows: pl.LazyFrame, source: Source, layout: CorpusLayout, fault: Callable[[_Row], str]) -> None:
    first = rows.head(1).collect(engine="streaming")
    if first.height:
        row = first.row(0, named=True)
        place = position_of(source, layout, int(row["id"]))
        raise UserError(f"{source.name}, {place}: {fault(row)}")


def _label_fault(row: _Row, layout: CorpusLayout) -> str:
    if row["label"] is None:
        return f"has no value in the column {layout.label!r}"
    value = row["label"][:_SHOWN_CHARACTERS]
    known = ", ".join(map(repr, layout.label_values or layout.labels))
    remedy = layout.remedy("add it to corpus.labels or corpus.drop_labels")
    return f"the label {value!r} is none of {known}; {remedy}"


def _empty(row: _Row, columns: Mapping[str, Sequence[str]]) -> str:
    empty = next(name for name in ("premise", "hypothesis") if not (row[name] or "").strip())
    return f"has no text in the column {' or '.join(map(repr, columns[empty]))}"
