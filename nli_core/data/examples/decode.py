"""Packed examples as text again, for people to read: as the tokenizer spells them, special tokens left out."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from nli_core.arrays import IntArray
from nli_core.data.corpus.layout import Split
from nli_core.data.examples.shards import ShardSet
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.filenames import TOKENIZER


def decode_examples(packed: Path, split: Split, ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """Decode examples by id to their text, or premise and hypothesis; `packed` is the folder that pack left.

    Raises:
        UserError: the folder has no shards of the split.
    """
    shards, tokenizer = ShardSet(packed, split), Tokenizer(packed / TOKENIZER)
    examples = shards.examples
    spelled: dict[int, tuple[str, ...]] = {}
    for index in np.flatnonzero(np.isin(shards.ids, np.array(list(ids), dtype=np.int64))):
        boundary = int(examples.boundaries[index])
        sides = np.split(examples.ids_of(int(index)), [boundary])
        spelled[int(shards.ids[index])] = tuple(_spell(side, tokenizer) for side in sides if len(side))
    return spelled


def _spell(ids: IntArray, tokenizer: Tokenizer) -> str:
    specials = {tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id}
    return " ".join(tokenizer.tokens(id_ for id_ in ids if id_ not in specials)).replace(" ##", "")
