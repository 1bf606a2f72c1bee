import platform
import resource
import threading

import pytest
import torch

from nli_core.malloc import keep_freed_memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is another C library")
SMALL, LARGE = 48, 200  # MiB: what a block leaves free has no room for a large one


def _faults(mebibytes: int) -> int:
    """Pages faulted in by writing to fresh tensors, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(mebibytes * 2**18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _warm_up() -> None:
    for _ in range(5):
        _faults(SMALL)


def test_within_the_block_freed_memory_is_used_again() -> None:
    with keep_freed_memory():
        _warm_up()
        assert _faults(SMALL) < 100
    assert _faults(LARGE) > 4 * 100


def test_the_outermost_of_overlapping_blocks_counts() -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with keep_freed_memory():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    inside.wait()
    with keep_freed_memory(), keep_freed_memory():
        _warm_up()
    assert _faults(SMALL) < 100
    leave.set()
    thread.join()
    assert _faults(LARGE) > 4 * 100
