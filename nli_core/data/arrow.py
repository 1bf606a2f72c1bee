"""Between Arrow and NumPy without copies, and without pandas, which Arrow's own ways import: a sixth of a second."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow.lib import StringBuilder

Numbers = np.ndarray[Any, np.dtype[Any]]


def to_numpy(column: "pa.Array[Any]") -> Numbers:
    """Return a column of numbers without nulls as a view that is not to be written to."""
    _, data = column.buffers()
    kind = np.dtype(str(column.type).replace("double", "float64"))
    values: Numbers = np.frombuffer(data if data is not None else b"", kind)
    return values[column.offset : column.offset + len(column)]


def strings(texts: Sequence[str]) -> pa.LargeStringArray:
    """Return a few texts as a column."""
    builder = StringBuilder()
    builder.append_values(texts)
    return builder.finish().cast(pa.large_string())


def to_arrow(values: Numbers) -> "pa.Array[Any]":
    """Return numbers as a column without nulls, which shares their memory."""
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])
