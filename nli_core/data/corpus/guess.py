"""Guess what the columns of a user's table are: the label, and the premise and hypothesis or the only text.

A guess reads the table's first part, some megabytes. It is shown to the user, who may name what it missed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from nli_core.data.corpus.layout import SEPARATOR, ColumnKind, Table, TableFormat
from nli_core.data.corpus.locate import DELIMITERS, Source
from nli_core.data.corpus.reading import columns_of, read_parts
from nli_core.errors import UserError, did_you_mean

_LABELS = (
    *("label", "labels", "gold_label", "class", "category", "target", "topic", "sentiment", "intent", "emotion"),
    *("stance", "relation", "is_duplicate", "rating", "stars", "y"),
)
_PAIRS = (
    *(("premise", "hypothesis"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("text1", "text2")),
    *(("sentence_a", "sentence_b"), ("text_a", "text_b"), ("question1", "question2"), ("question", "sentence")),
)
_TEXTS = (
    *("text", "sentence", "content", "review", "body", "description", "comment", "message", "tweet", "document"),
    *("question", "utterance"),
)
_HEADLINES = ("title", "headline", "subject")  # are read before another text
_MOST_LABELS = 200
_LABEL_SHARE = 0.2  # of the rows: a column with more values than that holds labels only if its name says so
_LABEL_CHARACTERS = 60
_NAME_CHARACTERS = 40
_TEXT_CHARACTERS = 20  # the mean of a column without a name
_CHARACTERS_PER_TOKEN = 4
_LENGTHS = (32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Guess:
    """What a table's columns are, and its first rows.

    `columns` names those of a file whose first line does not. With a `separator` a row has any number of labels.
    """

    columns: tuple[str, ...] | None
    premise: tuple[str, ...]
    hypothesis: str | None
    label: str
    head: pl.DataFrame
    separator: str | None = None

    def max_length(self) -> int:
        """Guess how many tokens hold 95 of 100 examples."""
        texts = [*self.premise, *([self.hypothesis] if self.hypothesis else [])]
        characters = pl.sum_horizontal(pl.col(texts).str.len_chars().fill_null(0))
        most = float(self.head.select(characters.quantile(0.95)).item()) / _CHARACTERS_PER_TOKEN
        return next((length for length in _LENGTHS if length >= most), _LENGTHS[-1])


def guess_columns(
    source: Source,
    format_: TableFormat,
    *,
    premise: Sequence[str] = (),
    hypothesis: str | None = None,
    label: str | None = None,
    separator: str | None = None,
) -> Guess:
    """Guess those columns of a table that the user has not named.

    A column of lists has labels if it is named like them, or is the only one and no other column is named so.
    `separator` is what the user says is between several labels.

    Raises:
        UserError: the table cannot be read, lacks a named column, or has none that looks like a label or a text.
    """
    found = _columns(source, format_)
    lists = _lists(found, label)
    names = [name for name, kind in found if kind == "plain" or name == lists]
    columns, head = _named_rows(source, format_, names, lists)
    if lists is not None:
        label, separator = lists, separator or SEPARATOR
    for column in (*premise, hypothesis, label):
        if column is not None and column not in head.columns:
            if column in dict(found):
                raise UserError(
                    f"{source.name}: the column {column!r} holds neither text nor numbers; write it as text"
                )
            there = f"only {', '.join(map(repr, head.columns))}{did_you_mean(column, head.columns)}"
            raise UserError(f"{source.name}: has no column {column!r}, {there}")
    label = label or _label(head.drop([*premise, *([hypothesis] if hypothesis else [])]))
    if label is None:
        raise UserError(f"{source.name}: no column looks like a label; name it with --label")
    if not premise:
        premise, hypothesis = _texts(head.drop(label), hypothesis)
    if not premise:
        raise UserError(f"{source.name}: no column looks like a text; name it with --premise")
    return Guess(columns, tuple(premise), hypothesis, label, head, separator)


def _named_rows(
    source: Source, format_: TableFormat, names: list[str], lists: str | None
) -> tuple[tuple[str, ...] | None, pl.DataFrame]:
    """Read the first rows; name the columns if the first line, which was taken for their names, is a row."""
    if not (format_ in DELIMITERS and any(map(_is_no_name, names))):
        head = _head(source, Table(format_, dict.fromkeys(names, "rename one"), None, lists))
        if format_ not in DELIMITERS or not any((head[name] == name).any() for name in names):
            return None, head
    columns = tuple(f"column_{number}" for number in range(1, len(names) + 1))
    return columns, _head(source, Table(format_, dict.fromkeys(columns, ""), columns))


def _lists(found: Sequence[tuple[str, ColumnKind]], label: str | None) -> str | None:
    """Return the column of lists that holds labels, if there is one; `label` is what the user says."""
    lists = [name for name, kind in found if kind == "lists"]
    if label is not None:
        return label if label in lists else None
    is_named = _named(_LABELS, [name for name, kind in found if kind == "plain"]) is not None
    return _named(_LABELS, lists) or (lists[0] if len(lists) == 1 and not is_named else None)


def _columns(source: Source, format_: TableFormat) -> list[tuple[str, ColumnKind]]:
    """Read the names of the columns, or what the first row of a file without them holds, and what each holds."""
    found = columns_of(source, format_)
    if format_ in DELIMITERS and len(found) == 1 and any(delimiter in found[0][0] for delimiter in ",;|\t"):
        raise UserError(
            f"{source.name}: has a single column, {found[0][0]!r}; rename the file by its delimiter (.csv or .tsv), or "
            "change the delimiter"
        )
    return found


def _head(source: Source, table: Table) -> pl.DataFrame:
    head = next(read_parts(source, table), pl.DataFrame())
    if not head.height:
        raise UserError(f"{source.name}: has no rows; give a file with examples")
    return head.select(
        pl.col(name).cast(pl.List(pl.String)).list.join(SEPARATOR)
        if isinstance(kind, pl.List)
        else pl.col(name).cast(pl.String)
        for name, kind in head.schema.items()
    )


def _is_no_name(value: str) -> bool:
    """Return whether a value of the first line belongs to a row rather than to a header."""
    return not value.strip() or len(value) > _NAME_CHARACTERS or value.replace(".", "", 1).isdecimal()


def _label(head: pl.DataFrame) -> str | None:
    """Return the column that is named like labels; or else the one with the fewest values, all of them short."""
    short = [name for name in head.columns if max(_lengths(head[name]), default=0) <= _LABEL_CHARACTERS]
    values = {name: head[name].drop_nulls().n_unique() for name in short}
    if named := _named(_LABELS, [name for name in short if values[name] > 1]):
        return named
    most = min(_MOST_LABELS, max(2, _LABEL_SHARE * head.height))
    few = [name for name in short if 2 <= values[name] <= most]
    return min(few, key=lambda name: values[name], default=None)


def _texts(head: pl.DataFrame, hypothesis: str | None) -> tuple[list[str], str | None]:
    """Return the columns of the premise, and that of the hypothesis if there is one."""
    if hypothesis is None:
        for pair in _PAIRS:
            first, second = (_named([name], head.columns) for name in pair)
            if first and second:
                return [first], second
    rest = [name for name in head.columns if name != hypothesis]
    if named := _named(_TEXTS, rest):
        return [*filter(None, [_named(_HEADLINES, rest)]), named], hypothesis
    long = [name for name in rest if sum(_lengths(head[name])) >= _TEXT_CHARACTERS * head.height]
    return long or rest[:1] * (len(rest) == 1), hypothesis


def _lengths(column: pl.Series) -> list[int]:
    return [len(value) for value in column if value]


def _named(known: Iterable[str], columns: Sequence[str]) -> str | None:
    """Return the first column with a known name."""
    by_name = {column.strip().casefold().replace(" ", "_"): column for column in columns}
    return next((by_name[name] for name in known if name in by_name), None)
