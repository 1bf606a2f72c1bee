"""What can be guessed without reading all: a linear model on the words of the hypothesis, or of the only text.

A model that never sees the premise answers two thirds of SNLI (Gururangan et al., 2018, "Annotation Artifacts in
Natural Language Inference Data", section 2). Of single texts the same model says what BERT adds to a bag of words. In a
multi-label corpus there is one for each label.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import polars as pl
from scipy.sparse import vstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

from nli_core.data.examples.targets import Targets, read_targets

_BUCKETS = 1 << 18  # that words and pairs of words are hashed to
_PASSES = 10
_MOST_CHARACTERS = 1 << 25  # of text to learn from: 128 MB of numbers
_MOST_LEARNED = 1 << 28  # characters of text, for each label that has a model of its own

Batches = Callable[[], Iterable[pl.DataFrame]]
"""Reads the rows of a split once more: columns `text` and `label`, the label's number, or a list of several."""


class WordBaseline:
    """Logistic regression on hashed words and pairs of words, by averaged stochastic gradient descent."""

    def __init__(self, train: Batches, labels: int, *, multi_label: bool = False, seed: int = 0) -> None:
        """Learn from the rows of train; of very much text, from rows chosen at random.

        `labels` is the number of classes. `rows` is from how many rows it learned.
        """
        most = min(_MOST_CHARACTERS, _MOST_LEARNED // labels) if multi_label else _MOST_CHARACTERS
        self._vectorizer = HashingVectorizer(
            n_features=_BUCKETS, ngram_range=(1, 2), token_pattern=r"\w+", binary=True, dtype=np.float32
        )
        characters = sum(int(batch["text"].str.len_chars().sum()) for batch in train())
        drawn = np.random.default_rng(seed)
        matrices, targets = [], []
        for batch in train():
            chosen = drawn.random(batch.height) * characters < most
            if not chosen.any():
                continue
            matrices.append(self._vectorizer.transform(batch["text"].filter(chosen)))
            targets.append(read_targets(batch["label"].filter(pl.Series(chosen)).to_arrow(), labels))
        matrix, known = vstack(matrices, format="csr"), np.concatenate(targets)
        self.rows, self._multi_label = len(known), multi_label
        self._models = []
        for column in known.T if multi_label else [known]:
            model = SGDClassifier(loss="log_loss", alpha=1e-5, average=True, random_state=seed)
            for _ in range(_PASSES):
                model.partial_fit(matrix, column, classes=np.arange(2 if multi_label else labels))
            self._models.append(model)

    def predict(self, batches: Iterable[pl.DataFrame]) -> Iterator[Targets]:
        """Yield what the model says of the texts of each batch."""
        for batch in batches:
            matrix = self._vectorizer.transform(batch["text"])
            answers = [model.predict(matrix) for model in self._models]
            yield np.stack(answers, axis=1).astype(np.bool_) if self._multi_label else answers[0].astype(np.int64)
