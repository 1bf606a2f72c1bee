"""The labels that a table has, and their class numbers."""

from collections import Counter

import polars as pl

from nli_core.data.corpus.layout import MOST_LABELS, MOST_MULTI_LABELS, CorpusLayout
from nli_core.data.corpus.locate import Source
from nli_core.data.corpus.reading import read_parts
from nli_core.errors import UserError


def labels_of(part: pl.DataFrame, layout: CorpusLayout) -> pl.Series:
    """Return the label of each row [rows] as the file writes it; of a multi-label corpus a list of different ones."""
    column = part[layout.label]
    if layout.separator is None:
        return column.cast(pl.String)
    lists = column if isinstance(column.dtype, pl.List) else column.cast(pl.String).str.split(layout.separator)
    stripped = lists.cast(pl.List(pl.String)).list.eval(pl.element().str.strip_chars().replace("", None))
    return stripped.list.drop_nulls().fill_null([]).list.unique(maintain_order=True)


def label_numbers(layout: CorpusLayout) -> pl.Expr:
    """Return the class number of each `labels_of`, or a sorted list of them; null where one is unknown."""
    values = layout.written_labels
    if not layout.multi_label:
        return _numbers(pl.col("label"), values)
    numbers = pl.col("label").list.eval(_numbers(pl.element(), values))
    is_unknown = numbers.list.eval(pl.element().is_null()).list.any()
    return pl.when(is_unknown).then(None).otherwise(numbers.list.sort())


def _numbers(names: pl.Expr, values: list[str]) -> pl.Expr:
    return names.replace_strict(values, range(len(values)), default=None, return_dtype=pl.UInt16)


def is_dropped(layout: CorpusLayout) -> pl.Expr:
    """Return whether the layout drops a row for a label in the column `label`."""
    dropped = list(layout.drop_labels)
    if layout.multi_label:
        return pl.col("label").list.eval(pl.element().is_in(dropped)).list.any()
    return pl.col("label").is_in(dropped).fill_null(False)


def count_labels(source: Source, layout: CorpusLayout) -> dict[str, int]:
    """Count the values in the label column of a table, sorted: by number where all are numbers.

    Raises:
        UserError: the table cannot be read, or lacks a column that the layout names.
    """
    counts: Counter[str] = Counter()
    for part in read_parts(source, layout.table):
        values = labels_of(part, layout)
        values = values.explode(empty_as_null=False) if layout.multi_label else values
        for value, count in values.drop_nulls().value_counts().iter_rows():
            counts[value] += count
    numbers = all(value.isdecimal() for value in counts)
    return dict(sorted(counts.items(), key=lambda item: (int(item[0]) if numbers else 0, item[0])))


def with_labels(layout: CorpusLayout, train: Source) -> CorpusLayout:
    """Return the layout with the labels that it names, or else those of train, sorted.

    Raises:
        UserError: as `count_labels`, or train has fewer than two labels, or too many.
    """
    if layout.labels:
        return layout
    labels = tuple(label for label in count_labels(train, layout) if label not in layout.drop_labels)
    most = MOST_MULTI_LABELS if layout.multi_label else MOST_LABELS
    if not 2 <= len(labels) <= most:
        values = "labels" if layout.multi_label else "values"
        found = (
            ("no value", f"one of the {values} alone")[len(labels)] if len(labels) < 2 else f"{len(labels):,} {values}"
        )
        remedy = f"set corpus.label to a column with labels, 2 to {most:,} of them"
        raise UserError(f"{train.name}: the column {layout.label!r} has {found}; {remedy}")
    if layout.separator and (joined := [label for label in labels if layout.separator in label]):
        remedy = "set corpus.label_separator to a text that is in no label"
        raise UserError(f"{train.name}: the label {joined[0]!r} has {layout.separator!r} in it; {remedy}")
    return layout.model_copy(update={"labels": labels})
