"""How the threads of a CPU divide a batch: each computes some parts of it, alone.

What the layers compute of a part stays in the caches, and threads do not wait for each other within every product.
"""

import numpy as np

from nli_core.arrays import IntArray

_MOST_TOKENS = 1 << 11  # in a part: what a core's caches hold of a layer
_LEAST_TOKENS = 1 << 9  # for a thread: with fewer it takes longer to add up the gradients of all parameters
_MOST_WORKERS = 4  # each has gradients of its own in memory


def divide(examples: IntArray, tokens: int, threads: int) -> list[list[IntArray]]:
    """Divide examples, sorted by length, with so many tokens: the parts of each worker.

    The workers' number divides that of the threads. They have as many parts, of as many examples or one less.
    """
    most = max(1, min(_MOST_WORKERS, threads, len(examples), tokens // _LEAST_TOKENS))
    workers = max(number for number in range(1, most + 1) if threads % number == 0)
    each = min(-(-tokens // (_MOST_TOKENS * workers)), len(examples) // workers)
    parts = np.array_split(examples, workers * max(1, each))
    return [parts[first::workers] for first in range(workers)]
