"""Work on the cores of a CPU: threads that compute alone, each with its part of the cores.

Threads that share each matrix product wait for each other hundreds of times a batch.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Work = TypeVar("Work")
Value = TypeVar("Value")


@contextlib.contextmanager
def mapped(compute: Callable[[Work], Value], works: Sequence[Work], workers: int) -> Iterator[Iterable[Value]]:
    """Within the block, give what `compute` returns for each work, in their order.

    So many threads compute at a time; if it is one, this thread does. At an error, no work begins any more.
    """
    if workers == 1:
        yield map(compute, works)
        return
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,))
    try:
        yield pool.map(compute, works)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # of this thread, and of those that begin from now on
