"""Loops that numba compiles."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a loop that runs outside of Python's lock; keep its machine code on the disk where that is possible.

    numba keeps it beside the module, or else in the user's cache folder, or in the one that `NUMBA_CACHE_DIR` names.
    Where none of them can be written, each process compiles again.
    """
    try:
        return cast(Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba: no locator available
        return cast(Function, njit(nogil=True)(function))
