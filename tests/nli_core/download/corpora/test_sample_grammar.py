from collections import Counter, defaultdict

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from nli_core.download.corpora.sample_grammar import LABELS, Pair, generate

PAIRS = 4500


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Pair]]:
    return generate(PAIRS, seed=0)


def test_the_corpus_is_a_function_of_its_seed(corpus: dict[str, list[Pair]]) -> None:
    assert generate(PAIRS, seed=0) == corpus
    assert generate(PAIRS, seed=1) != corpus


def test_every_hypothesis_has_every_label_in_one_split(corpus: dict[str, list[Pair]]) -> None:
    places = defaultdict(set)
    for split, pairs in corpus.items():
        labels = defaultdict(Counter)
        for pair in pairs:
            labels[pair.hypothesis][pair.label] += 1
            places[pair.hypothesis].add(split)
        assert all(set(counts) == set(LABELS) and len(set(counts.values())) == 1 for counts in labels.values())
    assert all(len(splits) == 1 for splits in places.values())


def test_no_pair_stands_twice(corpus: dict[str, list[Pair]]) -> None:
    pairs = [(pair.premise, pair.hypothesis) for split in corpus.values() for pair in split]
    assert len(pairs) == len(set(pairs)) == PAIRS


def _accuracy(train: tuple[object, list[str]], test: tuple[object, list[str]]) -> float:
    model = LogisticRegression(max_iter=2000).fit(*train)
    return float(model.score(*test))


def _noise(examples: int) -> float:
    """Three standard deviations of the accuracy of blind guessing."""
    return 3 * float(np.sqrt(1 / 3 * 2 / 3 / examples))


def test_the_hypothesis_alone_predicts_nothing(corpus: dict[str, list[Pair]]) -> None:
    words = CountVectorizer(ngram_range=(1, 2))
    train = words.fit_transform([pair.hypothesis for pair in corpus["train"]])
    test = words.transform([pair.hypothesis for pair in corpus["test"]])
    labels = {split: [pair.label for pair in pairs] for split, pairs in corpus.items()}
    accuracy = _accuracy((train, labels["train"]), (test, labels["test"]))
    assert accuracy == pytest.approx(1 / 3, abs=_noise(len(corpus["test"])))


def _overlap(pair: Pair) -> list[float]:
    premise, hypothesis = (set(text.lower().rstrip(".").split()) for text in (pair.premise, pair.hypothesis))
    shared = len(premise & hypothesis)
    return [shared, shared / len(hypothesis), shared / len(premise), len(premise), len(hypothesis)]


def test_word_overlap_does_not_solve_it(corpus: dict[str, list[Pair]]) -> None:
    features = {split: np.array([_overlap(pair) for pair in pairs]) for split, pairs in corpus.items()}
    labels = {split: [pair.label for pair in pairs] for split, pairs in corpus.items()}
    accuracy = _accuracy((features["train"], labels["train"]), (features["test"], labels["test"]))
    assert accuracy < 0.5
