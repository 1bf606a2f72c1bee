"""Dropout whose random numbers are cheap on a CPU.

One random byte an element decides, where `torch.nn.functional.dropout` draws a number of 32 bits and compares floats;
on a CPU the drawing is a large part of a small model's step. This rounds the rate to a multiple of 1/256
(`applied_rate`). Kept elements are scaled by the rate that really applies, so that expectations are exact.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

_LEVELS = 256
_BYTES_PER_DRAW = 8


class _Source(threading.local):
    """What a thread's masks are drawn from; None is torch's global random state."""

    generator: torch.Generator | None = None


_source = _Source()


@contextmanager
def masks_of(seed: int) -> Iterator[None]:
    """Within the block, this thread's masks on a CPU follow from the seed, whatever other threads draw."""
    _source.generator = torch.Generator().manual_seed(seed)
    try:
        yield
    finally:
        _source.generator = None


def applied_rate(rate: float, device: torch.device) -> float:
    """Return the rate at which elements are really dropped on this device."""
    return round(rate * _LEVELS) / _LEVELS if device.type == "cpu" else rate


def dropout(values: Tensor, rate: float) -> Tensor:
    """Drop elements of `values` at `rate`; on a GPU, torch's own dropout.

    Consumes torch's global random state, so that the seed of a training step decides the mask; or see `masks_of`.
    """
    if rate == 0:
        return values
    if values.device.type != "cpu":
        return functional.dropout(values, rate)
    threshold = round(rate * _LEVELS)
    count = values.numel()
    draws = torch.empty(-(-count // _BYTES_PER_DRAW), dtype=torch.int64)
    draws.random_(-(2**63), None, generator=_source.generator)
    kept = draws.view(torch.uint8)[:count].view(values.shape) >= threshold
    return values * (kept.to(values.dtype) * (_LEVELS / (_LEVELS - threshold)))
