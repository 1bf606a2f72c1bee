"""Read JSON lines in parts, and refuse what polars would read in silence as something else than it says.

polars reads fast and leniently: of a key that occurs twice it takes one, of half a surrogate pair it makes NUL, and a
list becomes text. Regular expressions find the parts where that may happen, and Python's parser decides on their lines.
"""

import codecs
import json
import math
import re
import reprlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO

import polars as pl

from nli_core.data.corpus.layout import ColumnKind
from nli_core.data.corpus.locate import Source
from nli_core.errors import UserError, reason_of

_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")  # may spell a key
_FIRST_LINES = 1000  # tell the columns


def json_columns(source: Source, most_bytes: int) -> dict[str, ColumnKind]:
    """Read the keys of the first lines, in order, and what their values are.

    Raises:
        UserError: names a line that is no JSON object, or is longer than `most_bytes`.
    """
    kinds: dict[str, set[ColumnKind]] = {}
    with _open_after_bom(source) as file:
        for number in range(1, _FIRST_LINES + 1):
            if len(line := file.readline(most_bytes + 1)) > most_bytes:
                raise _too_long(source, number, most_bytes)
            for name, value in _pairs(line, number, source) if line.strip() else ():
                kinds.setdefault(name, set()).update(() if value is None else (_kind(value),))
    return {name: found.pop() if len(found) == 1 else "nested" if found else "plain" for name, found in kinds.items()}


def _kind(value: object) -> ColumnKind:
    if type(value) is list:
        return "nested" if any(isinstance(item, list) for item in value) else "lists"
    return "nested" if isinstance(value, _Pairs) else "plain"


def json_parts(
    source: Source, columns: Sequence[str], part_bytes: int, most_bytes: int, *, lists: str | None = None
) -> Iterator[pl.DataFrame]:
    """Yield the columns as text, of parts of whole lines; a line without a key has null there.

    The values of the column `lists` may be texts, or else lists of texts and numbers: in a part either or null.

    Raises:
        UserError: names a line that is no JSON object, is ambiguous, or is longer than `most_bytes`.
    """
    schema = dict.fromkeys(columns, pl.String)
    names = [re.escape(json.dumps(name, ensure_ascii=False).encode()) + rb"\s*:" for name in columns]
    keys = [(re.compile(name + rb"(\s*[\[{])?"), re.compile(name + rb"[^\n]*" + name)) for name in names]
    for first, lines in _whole_lines(source, part_bytes, most_bytes):
        if _is_suspect(lines, keys):
            for number, line in enumerate(lines.split(b"\n"), first):
                _refuse_ambiguous(line, number, columns, source, lists)
        try:
            part = pl.scan_ndjson(lines, schema=schema).collect()
            yield part if lists is None else part.with_columns(_lists(part[lists], lines, first, source))
        except pl.exceptions.PolarsError as error:
            for number, line in enumerate(lines.split(b"\n"), first):
                _refuse_unreadable(line, number, schema, source)
            raise UserError(f"{source.name}, from line {first}: {reason_of(error)}") from None


def _whole_lines(source: Source, part_bytes: int, most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield parts that end with a line, each with the number of its first line, from 1."""
    first, waiting = 1, bytearray()
    with _open_after_bom(source) as file:
        while block := file.read(part_bytes):
            whole, newline, rest = block.rpartition(b"\n")
            if newline:
                lines = bytes(waiting) + whole + newline
                yield first, lines
                first, waiting = first + lines.count(b"\n"), bytearray(rest)
            else:
                waiting += block
            if len(waiting) > most_bytes:
                raise _too_long(source, first, most_bytes)
    if waiting.strip():
        yield first, bytes(waiting)


def _open_after_bom(source: Source) -> BinaryIO:
    file = source.path.open("rb")
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)
    return file


def _too_long(source: Source, line: int, most_bytes: int) -> UserError:
    return UserError(f"{source.name}, line {line}: is longer than {most_bytes:,} bytes; shorten it")


def _is_suspect(lines: bytes, keys: Sequence[tuple[re.Pattern[bytes], re.Pattern[bytes]]]) -> bool:
    """Return whether a wanted key may not occur once a line, or precede a list or object, or a pair be half.

    Of each key there is a pattern, and one for a line that has it twice: another line may lack it.
    """
    rows = lines.count(b"\n") + (not lines.endswith(b"\n"))
    if _HALF_PAIR.search(lines) or _ESCAPED_ASCII.search(lines):
        return True
    return any(
        len(found := key.findall(lines)) != rows or any(found) or twice.search(lines) is not None for key, twice in keys
    )


def _pairs(line: bytes, number: int, source: Source) -> list[tuple[str, Any]]:
    """Parse a line to the keys and values of its object, repeated ones included."""
    where = f"{source.name}, line {number}"
    try:
        found = json.loads(line, object_pairs_hook=_Pairs, parse_constant=partial(_refuse_constant, where))
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: is not valid JSON ({error.msg})") from None
    except RecursionError:
        raise UserError(f"{where}: is nested too deeply") from None
    except ValueError:  # Python's limit of digits
        raise UserError(f"{where}: has a number of thousands of digits; write it as text") from None
    if not isinstance(found, _Pairs):
        raise UserError(f"{where}: is not a JSON object")
    return found


class _Pairs(list[tuple[str, Any]]):
    """An object as a list of keys and values."""


def _refuse_constant(where: str, name: str) -> None:
    raise UserError(f"{where}: is not valid JSON ({name})")


def _lists(texts: pl.Series, lines: bytes, first: int, source: Source) -> pl.Series:
    """Return a column of which polars made text: as lists if there are any, or as it is.

    Raises:
        UserError: a value beside lists is none, or a list holds lists or objects.
    """
    if not texts.str.starts_with("[").any():
        return texts
    rows = [(number, line) for number, line in enumerate(lines.split(b"\n"), first) if line.strip()]
    values = [dict(_pairs(line, number, source)).get(texts.name) for number, line in rows]
    if not any(type(value) is list for value in values):
        return texts
    for (number, _), value in zip(rows, values, strict=True):
        items = [] if value is None else value
        if type(items) is not list or any(isinstance(item, list) for item in items):
            fault = f"{texts.name!r} has lists of texts elsewhere, and is {reprlib.repr(value)} here"
            raise UserError(f"{source.name}, line {number}: {fault}; write a list of texts")
    listed = [
        [item if isinstance(item, str) else json.dumps(item) for item in value or () if item is not None]
        for value in values
    ]
    return pl.Series(texts.name, listed, dtype=pl.List(pl.String))


def _refuse_ambiguous(line: bytes, number: int, columns: Sequence[str], source: Source, lists: str | None) -> None:
    if not line.strip():
        return
    pairs, where = _pairs(line, number, source), f"{source.name}, line {number}"
    names = [name for name, _ in pairs]
    for name, value in pairs:
        if isinstance(value, str) and any(0xD800 <= ord(character) < 0xE000 for character in value):
            raise UserError(f"{where}: the text in {name!r} has half of a surrogate pair; write whole characters")
        if name not in columns:
            continue
        if names.count(name) > 1:
            raise UserError(f"{where}: has the key {name!r} {names.count(name)} times; leave one")
        if isinstance(value, _Pairs | list) and not (name == lists and type(value) is list):
            kind = "an object" if isinstance(value, _Pairs) else "a list"
            lists_of = "; lists are for corpus.multi_label" if type(value) is list else ""
            raise UserError(f"{where}: the column {name!r} holds {kind}, and not text; write it as text{lists_of}")


def _refuse_unreadable(line: bytes, number: int, schema: dict[str, type[pl.String]], source: Source) -> None:
    """Raise for a line that polars cannot read, with Python's reason if it has one."""
    if not line.strip():
        return
    for name, value in _pairs(line, number, source):
        if isinstance(value, float) and math.isinf(value):
            raise UserError(f"{source.name}, line {number}: the number in {name!r} is too large; write it as text")
    try:
        pl.scan_ndjson(line, schema=schema).collect()
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{source.name}, line {number}: {reason_of(error)}") from None
