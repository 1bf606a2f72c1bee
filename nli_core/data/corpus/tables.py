"""The text of every split, clean: from its file, or carved from train."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from nli_core.data.corpus.cleaning import CleanTable, clean_tables, table_of
from nli_core.data.corpus.labels import with_labels
from nli_core.data.corpus.layout import SPLITS, CorpusLayout, Split
from nli_core.data.corpus.splitting import carve
from nli_core.errors import UserError


def split_tables(
    layout: CorpusLayout,
    corpus: Path,
    out: Path,
    *,
    empty_text: Literal["error", "drop"],
    names: Mapping[Split, str],
) -> tuple[dict[Split, CleanTable], tuple[str, ...]]:
    """Write the tables of all splits to the folder `out`; return them, and the labels.

    `names` is what errors call the files.

    Raises:
        UserError: a fault in the data, with file, line and value; or a split is missing.
    """
    layout = with_labels(layout, table_of(layout, corpus, "train", names))
    tables = clean_tables(layout, corpus, out, empty_text=empty_text, names=names)
    tables |= carve(tables["train"], layout.carve, layout.carve_seed, layout.label_values or layout.labels)
    missing = [split for split in SPLITS if split not in tables]
    if missing:
        raise UserError(f"corpus: there is no {missing[0]} split, and no fraction of train is set aside for it")
    return {split: tables[split] for split in SPLITS}, layout.labels
