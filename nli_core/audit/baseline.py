"""What can be guessed without reading all: a linear model on the words of the hypothesis, or of the only text.

A model that never sees the premise answers two thirds of SNLI (Gururangan et al., 2018, "Annotation Artifacts in
Natural Language Inference Data", section 2). Of single texts the same model says what BERT adds to a bag of words.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import polars as pl
from scipy.sparse import vstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

from nli_core.arrays import Ints

_BUCKETS = 1 << 18  # that words and pairs of words are hashed to
_PASSES = 10
_MOST_CHARACTERS = 1 << 25  # of text to learn from: 128 MB of numbers

Batches = Callable[[], Iterable[pl.DataFrame]]
"""Reads the rows of a split once more: columns `text` and `label`, the label's number."""


class WordBaseline:
    """Logistic regression on hashed words and pairs of words, by averaged stochastic gradient descent."""

    def __init__(self, train: Batches, labels: int, *, seed: int = 0) -> None:
        """Learn from the rows of train; of very much text, from rows chosen at random.

        `labels` is the number of classes. `rows` is from how many rows it learned, `majority` the label of most rows.
        """
        self._vectorizer = HashingVectorizer(
            n_features=_BUCKETS, ngram_range=(1, 2), token_pattern=r"\w+", binary=True, dtype=np.float32
        )
        sizes = [
            (batch["text"].str.len_chars().sum(), np.bincount(batch["label"], minlength=labels)) for batch in train()
        ]
        characters, counts = (sum(part) for part in zip(*sizes, strict=True))
        self.majority = int(np.argmax(counts))
        drawn = np.random.default_rng(seed)
        matrices, label_ids = [], []
        for batch in train():
            chosen = drawn.random(batch.height) * characters < _MOST_CHARACTERS
            if not chosen.any():
                continue
            matrices.append(self._vectorizer.transform(batch["text"].filter(chosen)))
            label_ids.append(batch["label"].filter(chosen).to_numpy())
        matrix, known = vstack(matrices, format="csr"), np.concatenate(label_ids)
        self.rows = len(known)
        self._model = SGDClassifier(loss="log_loss", alpha=1e-5, average=True, random_state=seed)
        for _ in range(_PASSES):
            self._model.partial_fit(matrix, known, classes=np.arange(labels))

    def predict(self, batches: Iterable[pl.DataFrame]) -> Iterator[Ints]:
        """Yield the numbers of the labels that the model gives the texts of each batch."""
        for batch in batches:
            yield self._model.predict(self._vectorizer.transform(batch["text"])).astype(np.int64)
