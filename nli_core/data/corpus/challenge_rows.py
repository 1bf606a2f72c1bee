"""Reading a challenge set: what its labels mean, its clean text, and its groups."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from nli_core.data.corpus.challenge import ChallengeTable
from nli_core.data.corpus.cleaning import CleanTable, clean_tables
from nli_core.data.corpus.labels import count_labels
from nli_core.data.corpus.locate import Source
from nli_core.data.corpus.reading import read_parts
from nli_core.errors import UserError, did_you_mean

_MOST_GROUPS = 200


def meanings(table: ChallengeTable, source: Source, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what each label of a challenge set means, in terms of the model's `labels`.

    Raises:
        UserError: the file has a label without a meaning, a meaning is no label of the model, or the meanings of two
            labels overlap in part.
    """
    found = [label for label in count_labels(source, table.layout) if label not in table.layout.drop_labels]
    means: dict[str, tuple[str, ...]] = dict(table.means or {label: (label,) for label in found})
    where = f"{table.section}.labels"
    if unknown := [label for label in found if label not in means]:
        remedy = f"add {{{unknown[0]}: {labels[0]}}} to {where}, or {{{unknown[0]}: []}} if the model cannot say it"
        raise UserError(f"{source.name}: the label {unknown[0]!r} has no meaning; {remedy}")
    meant: dict[str, str] = {}
    for theirs, ours in means.items():
        for label in ours:
            if label not in labels:
                known = f"the model has {', '.join(map(repr, labels))}{did_you_mean(label, labels)}"
                raise UserError(f"{where}: {theirs!r} means {label!r}, and {known}; map it in {where}")
            other = meant.setdefault(label, theirs)
            if set(means[other]) != set(ours):
                both = f"{other!r} and {theirs!r} both mean {label!r}, and not the same otherwise"
                raise UserError(f"{where}: {both}; let them mean the same labels, or none in common")
    return {theirs: tuple(label for label in labels if label in ours) for theirs, ours in means.items()}


def clean_challenge(table: ChallengeTable, folder: Path, labels: Sequence[str], out: Path, shown: str) -> CleanTable:
    """Write the text of a challenge set to the folder `out`; its labels are numbered as in `labels`.

    Errors call its file `shown`. Rows without text are errors.

    Raises:
        UserError: a fault in the data, with file, line and value.
    """
    layout = table.layout.model_copy(update={"labels": tuple(labels)})
    return clean_tables(layout, folder, out, empty_text="error", names={"test": shown})["test"]


def groups(table: ChallengeTable, source: Source, rows: pl.Series) -> pl.Series:
    """Read the group of each of these rows of the file [rows].

    Raises:
        UserError: the file has no such column, or it has very many values.
    """
    assert table.group is not None
    wanted = replace(table.layout.table, wanted={table.group: f"set {table.section}.group"})
    values = pl.concat([part[table.group].cast(pl.String) for part in read_parts(source, wanted)]).gather(rows)
    if (count := values.n_unique()) > _MOST_GROUPS:
        fault = f"the column {table.group!r} has {count:,} values, and results of {_MOST_GROUPS} groups are reported"
        raise UserError(f"{source.name}: {fault}; set {table.section}.group to another column")
    return values.fill_null("")
