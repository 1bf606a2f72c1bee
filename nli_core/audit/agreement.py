"""How many annotators of an example chose its label, where the release of a corpus says so."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from nli_core.data.corpus.cleaning import CleanTable
from nli_core.data.corpus.layout import CorpusLayout
from nli_core.data.corpus.locate import Source
from nli_core.data.corpus.reading import read_parts


def agreement(source: Source, layout: CorpusLayout, annotators: Sequence[str], table: CleanTable) -> pl.Series:
    """Compute the part of the annotators who chose the label of each row of `table` [rows]; null where none is known.

    `source` is the file that the table came from, and `annotators` its columns with one annotator's choice each.
    A single choice is the label itself, and says nothing.
    """
    if not annotators:
        return pl.Series([None] * table.rows, dtype=pl.Float64)
    wanted = replace(layout.table, wanted=dict.fromkeys([layout.label, *annotators], "is this a file of this corpus?"))
    chosen = [pl.col(name).is_not_null() & (pl.col(name) != "") for name in annotators]
    same = [(pl.col(name) == pl.col(layout.label)).fill_null(False) for name in annotators]
    parts = [
        part.select(choices=pl.sum_horizontal(chosen), same=pl.sum_horizontal(same))
        for part in read_parts(source, wanted)
    ]
    of_file = (
        pl.concat(parts).select(pl.when(pl.col("choices") > 1).then(pl.col("same") / pl.col("choices"))).to_series()
    )
    ids = pl.concat([pl.DataFrame(batch.select(["id"])) for batch in table.batches()])["id"]
    return of_file.gather(ids)
