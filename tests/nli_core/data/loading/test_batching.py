import itertools

import numpy as np
import pytest

from nli_core.data.loading.batching import evaluation_batches, pad_to_power_of_two, padded_lengths, training_batches

LENGTHS = np.random.default_rng(0).integers(5, 60, size=5_003)


def test_every_example_stands_in_exactly_one_batch() -> None:
    for by_length in (True, False):
        batches = training_batches(LENGTHS, 32, seed=0, epoch=0, by_length=by_length)
        assert sorted(np.concatenate(batches)) == list(range(len(LENGTHS)))
        assert sorted(map(len, batches))[1:] == [32] * (len(LENGTHS) // 32)
    assert sorted(np.concatenate(evaluation_batches(LENGTHS, 512))) == list(range(len(LENGTHS)))


@pytest.mark.parametrize("tokens", [1, 59, 512])
def test_a_batch_of_evaluation_is_as_large_as_its_tokens_allow(tokens: int) -> None:
    batches = evaluation_batches(LENGTHS, tokens)
    assert [LENGTHS[batch].max() for batch in batches] == sorted(LENGTHS[batch].max() for batch in batches)[::-1]
    for batch in batches[:-1]:
        longest = LENGTHS[batch].max()
        assert len(batch) == 1 or len(batch) * longest <= tokens
        assert (len(batch) + 1) * longest > tokens


def test_without_sorting_batches_have_nearly_as_many_tokens() -> None:
    def deviation(by_length: bool) -> float:
        batches = training_batches(LENGTHS, 64, seed=0, epoch=0, by_length=by_length)
        return float(np.std([LENGTHS[batch].sum() for batch in batches if len(batch) == 64]))

    assert deviation(False) < 0.3 * deviation(True)


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    def take(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in training_batches(LENGTHS, 32, seed=seed, epoch=epoch)]

    assert take(0, 0) == take(0, 0)
    assert take(0, 0) != take(0, 1) != take(1, 1)


def test_little_of_a_training_batch_is_padding() -> None:
    batches = training_batches(LENGTHS, 32, seed=0, epoch=0)
    places = sum(int(LENGTHS[batch].max()) * len(batch) for batch in batches)
    assert 1 - LENGTHS.sum() / places < 0.05
    blind = LENGTHS.reshape(-1)[: 5_000 // 32 * 32].reshape(-1, 32)
    assert 1 - blind.sum() / (blind.max(axis=1).sum() * 32) > 0.3


def test_lengths_are_unordered_and_neighbours_change() -> None:
    first, second = (training_batches(LENGTHS, 32, seed=0, epoch=epoch) for epoch in (0, 1))
    means = np.array([LENGTHS[batch].mean() for batch in first])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3
    together = {frozenset(pair) for batch in first for pair in itertools.pairwise(batch)}
    again = {frozenset(pair) for batch in second for pair in itertools.pairwise(batch)}
    assert len(together & again) < 0.05 * len(together)


@pytest.mark.parametrize("examples", [1, 3])
def test_a_corpus_smaller_than_a_batch_is_one_batch(examples: int) -> None:
    assert [len(batch) for batch in training_batches(LENGTHS[:examples], 32, seed=0, epoch=0)] == [examples]


def test_lengths_to_pad_to_are_few_and_within_the_positions() -> None:
    padded = padded_lengths(LENGTHS, 8, most=57)
    assert set(padded) == {8, 16, 24, 32, 40, 48, 56, 57}
    assert ((padded >= LENGTHS) & (padded < LENGTHS + 8)).sum() == (LENGTHS <= 57).sum()


def test_a_batch_that_is_not_full_comes_in_few_sizes() -> None:
    sizes = {len(pad_to_power_of_two(np.arange(size), 100)) for size in range(1, 101)}
    assert sizes == {1, 2, 4, 8, 16, 32, 64, 100}
    np.testing.assert_array_equal(pad_to_power_of_two(np.array([5, 9, 3]), 100), [5, 9, 3, 5])
