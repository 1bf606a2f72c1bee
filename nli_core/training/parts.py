"""How the threads of a CPU divide a batch: into parts, for workers that have one thread or several each.

What the layers compute of a part stays in the caches, and workers do not wait for each other within every product.
"""

import numpy as np

from nli_core.arrays import IntArray

_MOST_TOKENS = 1 << 11  # in a part: what a core's caches hold of a layer
_LEAST_TOKENS = 1 << 9  # with fewer it takes longer to add up the gradients of all parameters
_WORKERS = (4, 2, 1)
_MOST_BYTES = 1 << 30  # of the gradients that workers have at a time


def divide(examples: IntArray, tokens: int, *, threads: int, gradient_bytes: int) -> list[list[IntArray]]:
    """Divide examples, sorted by length, with so many tokens, into rounds: each worker computes one part of a round.

    How many parts there are follows from the examples alone. But they stay whole where the threads do not divide
    evenly, and where the parameters' gradients, of so many bytes, are too large.
    """
    count = max(_power_of_two(-(-tokens // _MOST_TOKENS)), 2 if tokens >= 2 * _LEAST_TOKENS else 1)
    while count > len(examples):
        count //= 2
    most = min(threads, count, max(1, _MOST_BYTES // gradient_bytes))
    workers = next(each for each in _WORKERS if each <= most and threads % each <= threads // 4)
    if workers == 1 < threads:
        return [[examples]]
    parts = np.array_split(examples, count)
    return [parts[first : first + workers] for first in range(0, count, workers)]


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
