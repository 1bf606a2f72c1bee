"""Reading a corpus' table in parts of whole records, so that memory stays flat as rows grow.

polars reads ahead of whoever takes its batches, without bound: 1.2 GiB for the text of 5.5 million pairs. So it is
given a bounded part of the file at a time.
"""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from nli_core.data.corpus.layout import Table, TableFormat
from nli_core.data.corpus.locate import Source, check_utf8, first_malformed
from nli_core.errors import UserError

_PART_BYTES = 16 << 20
_PART_ROWS = 100_000  # of a Parquet file
_DIALECTS: Mapping[TableFormat, dict[str, Any]] = {
    "csv": {},
    "tsv": {"separator": "\t"},
    "raw_tsv": {"separator": "\t", "quote_char": None},
}


def read_parts(source: Source, table: Table) -> Iterator[pl.DataFrame]:
    """Yield the rows of a table in their order, in parts, with the wanted columns.

    Raises:
        UserError: the file is empty, not UTF-8, lacks a column or has a row that ends early.
        polars.exceptions.PolarsError, pyarrow.ArrowException, OSError: it cannot be read.
    """
    if source.path.stat().st_size == 0:
        raise UserError(f"{source.name}: is empty")
    if table.format == "parquet":
        return _parquet_parts(source, table)
    check_utf8(source)
    return _json_parts(source, table) if table.format == "jsonl" else _delimited_parts(source, table)


def _parquet_parts(source: Source, table: Table) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(source.path) as file:
        schema = file.schema_arrow
        wanted = _wanted(schema.names, source, table)
        _refuse_nested({name: kind for name in wanted if pa.types.is_nested(kind := schema.field(name).type)}, source)
        for batch in file.iter_batches(_PART_ROWS, columns=wanted):
            yield pl.DataFrame(batch)


def _json_parts(source: Source, table: Table) -> Iterator[pl.DataFrame]:
    schema = pl.scan_ndjson(source.path, infer_schema_length=1000).collect_schema()
    wanted = _wanted(schema.names(), source, table)
    _refuse_nested({name: kind for name in wanted if (kind := schema[name]).is_nested()}, source)
    with source.path.open("rb") as file:
        for records in _records(file, quoting=False):
            yield pl.scan_ndjson(records, schema=schema).select(wanted).collect()


def _delimited_parts(source: Source, table: Table) -> Iterator[pl.DataFrame]:
    has_header, dialect = table.columns is None, _DIALECTS[table.format]
    schema = pl.scan_csv(
        source.path, infer_schema=False, has_header=has_header, new_columns=table.columns, **dialect
    ).collect_schema()
    wanted = _wanted(schema.names(), source, table)
    with source.path.open("rb") as file:
        for records in _records(file, quoting=table.format != "raw_tsv"):
            rows = pl.scan_csv(records, schema=schema, has_header=has_header, **dialect)
            has_header = False
            if table.columns is None:
                yield rows.select(wanted).collect()
            else:
                part = rows.collect()
                # polars fills up rows that end early; where every column counts, a row that lacks one is a fault.
                if sum(part.null_count().row(0)) and (fault := first_malformed(source, table)):
                    raise UserError(fault)
                yield part.select(wanted)


def _wanted(present: list[str], source: Source, table: Table) -> list[str]:
    for column, remedy in table.wanted.items():
        if column not in present:
            if len(present) == 1 and any(delimiter in present[0] for delimiter in ",;|\t"):
                remedy = "is the delimiter not the one that its name tells?"
            raise UserError(f"{source.name}: has no column {column!r}, only {', '.join(map(repr, present))}; {remedy}")
    return list(table.wanted)


def _refuse_nested(kinds: Mapping[str, object], source: Source) -> None:
    for column, kind in kinds.items():
        raise UserError(f"{source.name}: the column {column!r} holds {kind}, and not text; write it as text")


def _records(file: BinaryIO, *, quoting: bool) -> Iterator[bytes]:
    """Yield the bytes of a file in parts that end with a record: at a newline outside quotes."""
    waiting, inside = b"", False
    while block := file.read(_PART_BYTES):
        end, inside = _last_end(block, quoting=quoting, inside=inside)
        if end:
            yield waiting + block[:end]
            waiting = block[end:]
        else:
            waiting += block
    if waiting:
        yield waiting


def _last_end(block: bytes, *, quoting: bool, inside: bool) -> tuple[int, bool]:
    """Find where the last record of `block` ends (0 if none does), and whether its last byte is inside quotes.

    `inside`: whether the block begins inside quotes. Every quote opens or closes, as for polars.
    """
    at_end = (inside + block.count(b'"')) % 2 == 1 if quoting else False
    inside, end = at_end, len(block)
    while (newline := block.rfind(b"\n", 0, end)) >= 0:
        if quoting:
            inside ^= block.count(b'"', newline, end) % 2 == 1
        if not inside:
            return newline + 1, at_end
        end = newline
    return 0, at_end
