"""Loops that numba compiles.

A loop calls loops of its own module alone: where numba keeps machine code, it looks for changes in that one file.
"""

import contextlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

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


def _import_without_blas() -> None:
    """Import numba's functions of arrays without those of SciPy, whose import takes as long as numba's own.

    On the way numba asks whether SciPy has BLAS, and now hears yes. What multiplies matrices asks once more when it is
    compiled.
    """
    linalg: Any = import_module("numba.np.linalg")
    ask, linalg.ensure_blas = linalg.ensure_blas, lambda: None
    try:
        import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = ask


with contextlib.suppress(ImportError, AttributeError):  # of another version of numba, which then takes its time
    _import_without_blas()
