"""The labels that a table has."""

from collections import Counter

import polars as pl

from nli_core.data.corpus.layout import MOST_LABELS, CorpusLayout
from nli_core.data.corpus.locate import Source
from nli_core.data.corpus.reading import read_parts
from nli_core.errors import UserError


def count_labels(source: Source, layout: CorpusLayout) -> dict[str, int]:
    """Count the values in the label column of a table, sorted: by number where all are numbers.

    Raises:
        UserError: the table cannot be read, or lacks a column that the layout names.
    """
    counts: Counter[str] = Counter()
    for part in read_parts(source, layout.table):
        for value, count in part[layout.label].cast(pl.String).drop_nulls().value_counts().iter_rows():
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
    if not 2 <= len(labels) <= MOST_LABELS:
        found = f"{len(labels):,} different values" if labels else "no value"
        remedy = "set corpus.label to a column with labels"
        raise UserError(f"{train.name}: the column {layout.label!r} has {found}; {remedy}")
    return layout.model_copy(update={"labels": labels})
