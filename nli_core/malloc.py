"""Let the C library keep freed memory.

By default glibc maps new blocks for every large tensor, and returns them to the kernel when they are freed. Each step
of a training on a CPU then faults in all of its pages again: 10 to 20 % of a small model's step.
"""

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_KEEPING = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 1 << 26}
_DEFAULTS = {_M_MMAP_MAX: 1 << 16, _M_TRIM_THRESHOLD: 1 << 17, _M_TOP_PAD: 0}

_lock = threading.Lock()
_keepers = 0


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keep freed memory in the process for the block; without glibc, do nothing.

    Blocks may be nested and may overlap in threads; after the last one the memory goes back as it is freed.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _keepers
    with _lock:
        before, _keepers = _keepers, _keepers + change
        if bool(before) != bool(_keepers):
            library = ctypes.CDLL(None)
            for parameter, value in (_KEEPING if _keepers else _DEFAULTS).items():
                library.mallopt(parameter, value)
