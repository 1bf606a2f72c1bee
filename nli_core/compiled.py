"""Loops that numba compiles."""

from collections.abc import Callable
from importlib import import_module
from typing import TypeVar, cast

from numba import njit
from numba.np import linalg

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


def _import_without_scipy() -> None:
    """Import numba's functions of arrays without SciPy, whose import takes as long as numba's own.

    On the way numba asks whether SciPy has BLAS. What multiplies matrices asks once more when it is compiled.
    """
    ask, linalg.ensure_blas = linalg.ensure_blas, lambda: None
    try:
        import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = ask


_import_without_scipy()
