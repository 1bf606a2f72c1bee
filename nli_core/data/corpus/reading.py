"""Read a corpus' table in parts of whole records, so that memory stays flat as rows grow.

Arrow's streaming reader splits delimited text into records, with the quoting rules of Python's csv module.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from nli_core.data.corpus.json_lines import json_columns, json_parts
from nli_core.data.corpus.layout import ColumnKind, Table, TableFormat
from nli_core.data.corpus.locate import DELIMITERS, Source, check_utf8, first_malformed, header_of
from nli_core.errors import UserError, did_you_mean, reason_of

_PART_BYTES = 4 << 20  # Arrow reads some parts ahead
_MOST_PART_BYTES = 1 << 27  # and so the longest record
_PARQUET_PART_BYTES = 1 << 25  # about
_PART_ROWS = 100_000  # of a Parquet file, at most
# What Arrow says of a record, or a header, that is longer than a part.
_EMPTY = "Empty CSV file or block"
_TOO_LONG = ("straddling object", _EMPTY)

_TEXT_LIKE = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null),
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean),
)

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def read_parts(source: Source, table: Table) -> Iterator[pl.DataFrame]:
    """Yield the rows of a table in their order, in parts, with the wanted columns.

    Raises:
        UserError: the file is empty, not UTF-8, lacks a column, has a row that ends early, or cannot be read.
    """
    try:
        yield from _parts(source, table)
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
        of_system = isinstance(error, OSError) and error.errno is not None
        raise UserError((not of_system and first_malformed(source, table)) or _unreadable(source, error)) from None


def read_parts_ahead(source: Source, table: Table) -> Iterator[pl.DataFrame]:
    """Yield as `read_parts` does; a thread reads the next part while the caller works on one."""
    parts = read_parts(source, table)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = thread.submit(next, parts, None)
            yield part


def _unreadable(source: Source, error: Exception) -> str:
    return f"{source.name}: cannot be read ({reason_of(error)})"  # polars adds advice to programmers


def _parts(source: Source, table: Table) -> Iterator[pl.DataFrame]:
    if source.path.stat().st_size == 0:
        raise UserError(f"{source.name}: is empty")
    if table.format == "parquet":
        return _parquet_parts(source, table)
    check_utf8(source)
    if table.format == "jsonl":
        wanted = _wanted(list(json_columns(source, _MOST_PART_BYTES)), source, table)
        return json_parts(source, wanted, _PART_BYTES, _MOST_PART_BYTES, lists=table.lists)
    columns = list(table.columns or header_of(source, table.format))
    if not any(columns):
        raise UserError(f"{source.name}: has no header; name the columns in its first line")
    parts = _delimited_parts(source, table, columns)
    return parts if len(columns) > 1 else _without_blank_end(parts)


def columns_of(source: Source, format_: TableFormat) -> list[tuple[str, ColumnKind]]:
    """Read the names of the columns, and what each holds; of a file without names, its first row.

    Raises:
        UserError: the first lines are malformed, or the file cannot be read.
    """
    try:
        if format_ == "parquet":
            return [(field.name, _kind(field.type)) for field in pq.read_schema(source.path)]
        if format_ == "jsonl":
            return list(json_columns(source, _MOST_PART_BYTES).items())
        return [(name, "plain") for name in header_of(source, format_)]
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise UserError(_unreadable(source, error)) from None


def _parquet_parts(source: Source, table: Table) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(source.path) as file:
        schema = file.schema_arrow
        wanted = _wanted(schema.names, source, table)
        _refuse_other_types(schema, wanted, source, table.lists)
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        widest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
        rows = min(_PART_ROWS, 1 + _PARQUET_PART_BYTES // (widest + 1))
        done = 0
        for batch in file.iter_batches(rows, columns=wanted):
            try:
                batch.validate(full=True)
            except pa.ArrowInvalid as error:
                there = f"{source.name}, rows {done} to {done + batch.num_rows - 1}"
                raise UserError(f"{there}: hold text that is not UTF-8 ({reason_of(error)}); write it again") from None
            done += batch.num_rows
            yield pl.DataFrame(batch)


def _delimited_parts(source: Source, table: Table, columns: list[str]) -> Iterator[pl.DataFrame]:
    wanted = _wanted(columns, source, table)
    part_bytes, done = _PART_BYTES, 0
    while True:
        try:
            before = 0
            with source.path.open("rb") as file:
                for batch in _open_delimited(file, table, columns, wanted, part_bytes):
                    if fresh := batch.slice(max(0, done - before)):
                        yield pl.DataFrame(fresh)
                    before += batch.num_rows
                    done = max(done, before)
            return
        except pa.ArrowInvalid as error:
            if _EMPTY in str(error) and source.path.stat().st_size < part_bytes:
                return  # the header is all, and no line end follows it
            too_long = any(sign in str(error) for sign in _TOO_LONG)
            if not too_long or part_bytes >= _MOST_PART_BYTES:
                raise UserError(first_malformed(source, table) or f"{source.name}: {reason_of(error)}") from None
            part_bytes *= 2  # and skip the rows that are done


def _without_blank_end(parts: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Drop blank lines at the end of a file with one column; others there are rows without a value."""
    held = pl.DataFrame()
    for part in parts:
        rows = pl.concat([held, part]) if held.height else part
        filled = rows.to_series().is_not_null().arg_true()
        end = int(filled[-1]) + 1 if len(filled) else 0
        if end:
            yield rows.head(end)
        held = rows.slice(end)


class _WholeLineEnds:
    """A file whose reads never end between a carriage return and a newline.

    Arrow 25 takes the two for one line end that its blocks cut, and drops the newline, even inside quotes.
    """

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._held = file, b""

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes, and hold back carriage returns at their end."""
        block = self._held + self._file.read(size - len(self._held))
        whole = block.rstrip(b"\r") or block
        self._held = block[len(whole) :]
        return whole


def _open_delimited(
    file: BinaryIO, table: Table, columns: list[str], wanted: list[str], part_bytes: int
) -> pa.csv.CSVStreamingReader:
    quotes = table.format != "raw_tsv"
    return pa.csv.open_csv(
        pa.PythonFile(_WholeLineEnds(file), mode="r"),
        read_options=pa.csv.ReadOptions(block_size=part_bytes, use_threads=False, column_names=table.columns),
        parse_options=pa.csv.ParseOptions(
            delimiter=DELIMITERS[table.format],
            quote_char='"' if quotes else False,
            double_quote=quotes,
            newlines_in_values=quotes,
            ignore_empty_lines=len(columns) > 1,  # a blank line is a row of a single column
        ),
        convert_options=pa.csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.string()),
            check_utf8=False,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _wanted(present: list[str], source: Source, table: Table) -> list[str]:
    for column, remedy in table.wanted.items():
        if column not in present:
            if len(present) == 1 and any(delimiter in present[0] for delimiter in ",;|\t"):
                remedy = "rename the file by its delimiter (.csv or .tsv), or change the delimiter"
            only = ", ".join(map(repr, present))
            alike = did_you_mean(column, present)
            raise UserError(f"{source.name}: has no column {column!r}, only {only}{alike}; {remedy}")
        if present.count(column) > 1:
            raise UserError(f"{source.name}: has {present.count(column)} columns {column!r}; rename all but one")
    return list(table.wanted)


def _refuse_other_types(schema: pa.Schema, wanted: list[str], source: Source, lists: str | None) -> None:
    for column in wanted:
        kind = schema.field(column).type
        if _kind(kind) not in ("plain", "lists" if column == lists else "plain"):
            taken = "text, numbers and booleans are read, and lists of them for corpus.multi_label; write it as text"
            raise UserError(f"{source.name}: the column {column!r} holds {kind}; {taken}")


def _kind(kind: pa.DataType) -> ColumnKind:
    if any(accepts(kind) for accepts in _LISTS):
        return "lists" if _kind(kind.value_type) == "plain" else "nested"
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return "plain" if any(accepts(plain) for accepts in _TEXT_LIKE) else "nested"
