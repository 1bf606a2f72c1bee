"""The two lower bounds of a result: what the arithmetic must take, and what moving the bytes must take.

Both come from rates that this machine reaches in a large matrix product and in a large copy, measured when asked.
"""

import time
from collections.abc import Callable
from functools import lru_cache

import torch

_FAST = any(torch.cpu.get_capabilities().get(feature) for feature in ("amx_bf16", "avx512_bf16"))
PRECISION = "bf16" if _FAST else "fp32"  # what this CPU multiplies fast, for us and for the peers

_SIDE = 2048
_COPIED = 1 << 28
_SECONDS = 2.0
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def floating_point_operations(sizes: dict[str, int], tokens: float, examples: float, *, training: bool) -> float:
    """Of the matrix products over so many tokens, those over attention scores left out; training takes three times.

    The last layer computes keys and values of all tokens, and everything else for the first tokens alone.
    """
    hidden, inner = sizes["hidden_size"], sizes["intermediate_size"]
    layer = 4 * hidden * hidden + 2 * hidden * inner
    last = 2 * hidden * hidden
    all_but_last = (sizes["num_hidden_layers"] - 1) * layer + last
    forward = 2.0 * (all_but_last * tokens + (layer - last) * examples)
    return 3 * forward if training else forward


def bytes_moved(sizes: dict[str, int], parameters: int, tokens: float, steps: int) -> float:
    """What training must read and write.

    A step of AdamW reads weight, gradient and two moments and writes all but the gradient, in fp32. The outputs of the
    linear layers, in the machine's fast precision, are written once and read once on the way forward, read again on the
    way back, and their gradients written and read.
    """
    outputs = sizes["num_hidden_layers"] * (5 * sizes["hidden_size"] + sizes["intermediate_size"])
    size = torch.finfo(_DTYPES[PRECISION]).bits / 8
    return 7 * 4.0 * parameters * steps + 5 * size * outputs * tokens


@lru_cache
def products_a_second(dtype: torch.dtype, threads: int) -> float:
    """Floating-point operations a second of a large matrix product."""
    return 2.0 * _SIDE**3 / _seconds_of_product(dtype, threads)


@lru_cache
def bytes_a_second(threads: int) -> float:
    """Bytes read and written a second by a large copy."""
    source = torch.zeros(_COPIED, dtype=torch.uint8)
    target = torch.ones_like(source)
    return 2.0 * _COPIED / _fastest(lambda: target.copy_(source), threads)


def arithmetic_bound(operations: float, threads: int) -> float:
    """Seconds that so many operations take in the machine's fast precision."""
    return operations / products_a_second(_DTYPES[PRECISION], threads)


def machine_note(threads: int) -> str:
    """The rates behind the bounds, for a page."""
    rates = {name: products_a_second(_DTYPES[name], threads) for name in dict.fromkeys((PRECISION, "fp32"))}
    products = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {name}" for name, rate in rates.items())
    return (
        f"Large products reach {products} on {threads} threads, large copies {bytes_a_second(threads) / 1e9:,.1f} GB/s."
    )


def _seconds_of_product(dtype: torch.dtype, threads: int) -> float:
    one, other = (torch.randn(_SIDE, _SIDE).to(dtype) for _ in range(2))
    return _fastest(lambda: one @ other, threads)


def _fastest(work: Callable[[], object], threads: int) -> float:
    """The shortest time of many: the machine is shared, and its slow moments are no bound."""
    before, told = torch.get_num_threads(), []
    torch.set_num_threads(threads)
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        started = time.perf_counter()
        work()
        told.append(time.perf_counter() - started)
    torch.set_num_threads(before)
    return min(told)
