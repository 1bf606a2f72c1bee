"""Which examples go into which batch."""

import numpy as np

from nli_core.arrays import IntArray

_POOL_BATCHES = 50  # as in group-by-length samplers: enough to make batches even, few enough to stay shuffled


def training_batches(
    lengths: IntArray, batch_size: int, *, seed: int, epoch: int, by_length: bool = True
) -> list[IntArray]:
    """Put every example once into batches of similar length and random order: a pure function of its arguments.

    All examples are shuffled; within pools of some batches they are sorted by length, so that a batch has little
    padding; then the batches are shuffled, so that no step knows what length comes next. The last, smaller batch of
    the last pool takes part. Packed batches have no padding to spare: without `by_length` nothing is sorted, so that
    their tokens are nearly as many from batch to batch.
    """
    source = np.random.default_rng([seed, epoch])
    order = source.permutation(len(lengths))
    pool = batch_size * _POOL_BATCHES
    batches: list[IntArray] = []
    for start in range(0, len(order), pool):
        members = order[start : start + pool]
        if by_length:
            members = members[np.argsort(lengths[members], kind="stable")]
        batches += [members[first : first + batch_size] for first in range(0, len(members), batch_size)]
    return [batches[index] for index in source.permutation(len(batches))]


def padded_lengths(lengths: IntArray, step: int, most: int) -> IntArray:
    """Round lengths up to multiples of `step`, and at most to `most`, the encoder's positions.

    On a CPU every new shape of a batch costs milliseconds and memory, in which oneDNN makes ready for it.
    """
    padded: IntArray = np.minimum(-(-lengths // step) * step, most)
    return padded


def evaluation_batches(lengths: IntArray, tokens: int) -> list[IntArray]:
    """Put every example once into batches, longest first, so that a batch too large fails early.

    A batch has at most `tokens` token slots, padding included, or a single example.
    """
    order = np.argsort(-lengths, kind="stable")
    batches: list[IntArray] = []
    first = 0
    while first < len(order):
        size = max(1, tokens // int(lengths[order[first]]))
        batches.append(order[first : first + size])
        first += size
    return batches


def pad_to_power_of_two(indices: IntArray, full: int) -> IntArray:
    """Repeat some indices of a batch that is not `full`, up to a power of two.

    So the last batch of many calls comes in few sizes, and a single example stays single.
    """
    return np.resize(indices, max(len(indices), min(full, 1 << (len(indices) - 1).bit_length())))
