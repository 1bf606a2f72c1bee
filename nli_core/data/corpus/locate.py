"""Finding the line of a fault in a text table, for the error message.

It is slow where something is wrong; `check_utf8` reads every table, and is fast.
"""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from nli_core.data.corpus.layout import Table, TableFormat
from nli_core.errors import UserError

_CHUNK_BYTES = 1 << 16  # few enough that most are plain ASCII, which is known fast
_LONGEST_FIELD = 1 << 27  # characters; the csv module has 131,072
DELIMITERS: dict[TableFormat, str] = {"csv": ",", "tsv": "\t", "raw_tsv": "\t"}


class Source(NamedTuple):
    """A table's file, and what its user calls it."""

    path: Path
    name: str


def check_utf8(source: Source) -> None:
    """Read the whole file once as UTF-8.

    Raises:
        UserError: names the line and the first byte that is not UTF-8.
    """
    with source.path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise UserError(f"{source.name}: is compressed with gzip; let its name end in .gz")
    decoder, waiting, done = codecs.getincrementaldecoder("utf-8")(), b"", 0
    with source.path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if waiting or not chunk.isascii():
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    line, byte = _line_of(source, done - len(waiting) + error.start), error.object[error.start]
                    raise UserError(
                        f"{source.name}, line {line}: byte 0x{byte:02x} is not UTF-8; save it as UTF-8"
                    ) from None
                waiting = decoder.getstate()[0]
            done += len(chunk)
    if waiting:
        line = _line_of(source, done)
        raise UserError(f"{source.name}, line {line}: the file ends within a UTF-8 character; save it as UTF-8")


def _line_of(source: Source, place: int) -> int:
    """Return the line of a byte of a file."""
    with source.path.open("rb") as file:
        return 1 + sum(file.read(min(_CHUNK_BYTES, place - at)).count(b"\n") for at in range(0, place, _CHUNK_BYTES))


def position_of(source: Source, table: Table, row: int) -> str:
    """Locate row number `row` of a table, from 0 after any header: "line 12", or "row 12" of Parquet."""
    if table.format == "parquet":
        return f"row {row}"
    for index, (line, _) in enumerate(_records(source, table)):
        if index == row:
            return f"line {line}"
    return f"row {row}"


def first_malformed(source: Source, table: Table) -> str | None:
    """Describe the first record that has too many or too few fields; None if there is none."""
    if table.format == "parquet":
        return f"{source.name}: is not a readable Parquet file; write it again"
    if table.format == "jsonl":
        return None
    width = len(table.columns or header_of(source, table.format))
    whose = "the corpus" if table.columns else "the header"
    for line, record in _records(source, table):
        if len(record) != width:
            fault = f"has {len(record)} fields, {whose} {width}; add or remove a quote or a delimiter"
            return f"{source.name}, line {line}: {fault}"
    return None


def header_of(source: Source, format_: TableFormat) -> list[str]:
    """Read the names in the first row of a delimited file."""
    return next((fields for _, fields in _rows(source, format_)), [])


def _records(source: Source, table: Table) -> Iterator[tuple[int, str | list[str]]]:
    """Yield every record after any header, with the line that it starts on, from 1."""
    if table.format == "jsonl":
        with source.path.open(encoding="utf-8") as file:
            yield from ((line, text) for line, text in enumerate(file, start=1) if text.strip())
    else:
        rows = _rows(source, table.format)
        if table.columns is None:
            next(rows, None)
        yield from rows


def _rows(source: Source, format_: TableFormat) -> Iterator[tuple[int, list[str]]]:
    quoting: Literal[0, 3] = csv.QUOTE_NONE if format_ == "raw_tsv" else csv.QUOTE_MINIMAL
    csv.field_size_limit(_LONGEST_FIELD)
    with source.path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=DELIMITERS[format_], quoting=quoting)
        begin, width = 1, 0
        try:
            for fields in reader:
                width = width or len(fields)
                if fields or width == 1:  # a blank line is a row of a single column
                    yield begin, fields or [""]
                begin = reader.line_num + 1
        except csv.Error as error:
            raise UserError(f"{source.name}, line {begin}: {error}; add the missing quote") from None
