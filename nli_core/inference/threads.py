"""Batches on the cores of a CPU: a thread for each core, which computes its batches alone.

Threads that share each matrix product wait for each other hundreds of times a batch.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from nli_core.model.device import Device

Work = TypeVar("Work")
Value = TypeVar("Value")
_LEAST = 2  # batches a thread, since at the end some threads have none


@contextlib.contextmanager
def mapped(compute: Callable[[Work], Value], batches: Sequence[Work], device: Device) -> Iterator[Iterable[Value]]:
    """Within the block, give what `compute` returns for each batch, in their order.

    On a CPU with enough batches each is computed by one thread. At an error, none begins any more.
    """
    threads = torch.get_num_threads()
    if device.torch.type != "cpu" or threads == 1 or len(batches) < _LEAST * threads:
        yield map(compute, batches)
        return
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool.map(compute, batches)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # of this thread, and of those that begin from now on
