"""Examples that nearly repeat another: not the same words in the same order, but 80 % of each text's (Jaccard).

MinHash finds the candidates (Broder, 1997; 16 bands of 8 hashes: 95 % of the pairs at 80 %, all above 90 %), and their
words decide. Memory holds the looked-for rows, and of the others one batch at a time.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from rensa import RMinHash, RMinHashLSH

from nli_core.arrays import Bools
from nli_core.audit.words import words

THRESHOLD = 0.8
_HASHES, _BANDS, _SEED = 128, 16, 0
_MOST_COMPARED = 1 << 20  # pairs of examples: seconds
Words = list[list[str]]


class NearDuplicates:
    """Looks for rows that nearly repeat one of the rows that it is given, batch by batch.

    `found` [rows] says which of the looked-for rows have a near duplicate so far. `complete` is false once there were
    more candidates than are compared.
    """

    def __init__(self, wanted: pl.DataFrame, texts: Sequence[str]) -> None:
        """`wanted` has the rows to look for; `texts` are the columns of an example's texts."""
        self._texts, self._words = texts, [wanted.select(words(name)).to_series().to_list() for name in texts]
        self.found: Bools = np.zeros(wanted.height, bool)
        self.complete = True
        self._left = _MOST_COMPARED
        self._index = RMinHashLSH(THRESHOLD, _HASHES, _BANDS)
        if wanted.height:
            together = _together(wanted, texts)
            self._index.insert_matrix(RMinHash.digest_matrix_from_token_sets(together, _HASHES, _SEED), 0)

    def look(self, batch: pl.DataFrame) -> None:
        """Look for near duplicates of the rows among those of a batch."""
        together = _together(batch, self._texts)
        matrix = RMinHash.digest_matrix_from_token_sets(together, _HASHES, _SEED)
        flagged = np.flatnonzero(self._index.query_duplicate_flags_matrix(matrix))
        for start in range(0, len(flagged), 1024):
            rows = flagged[start : start + 1024]
            hashed = RMinHash.from_token_sets([together[row] for row in rows], _HASHES, _SEED)
            here = batch[rows].select(words(name).alias(name) for name in self._texts)
            own = [here[name].to_list() for name in self._texts]
            for place, candidates in enumerate(self._index.query_all(hashed)):
                self._compare([each[place] for each in own], candidates)

    def _compare(self, own: Words, candidates: Sequence[int]) -> None:
        for candidate in candidates:
            if self.found[candidate]:
                continue
            if not self._left:
                self.complete = False
                return
            self._left -= 1
            others = [of_text[candidate] for of_text in self._words]
            alike = all(_jaccard(mine, other) >= THRESHOLD for mine, other in zip(own, others, strict=True))
            if alike and own != others:
                self.found[candidate] = True
                self._index.remove(candidate)


def _together(rows: pl.DataFrame, texts: Sequence[str]) -> Words:
    """Return the words of all texts of each row; those of the second text differ from those of the first by a mark."""
    marked = [words(name).list.eval(pl.element() + pl.lit("\t" * place)) for place, name in enumerate(texts)]
    return rows.select(pl.concat_list(marked)).to_series().to_list()


def _jaccard(first: Sequence[str], second: Sequence[str]) -> float:
    one, other = set(first), set(second)
    return len(one & other) / max(len(one | other), 1)
