"""What a model is to say of each example: its class, or in a multi-label corpus which of the labels apply.

Of two examples, the first with the labels 0 and 2, the second without any:

    as a column   [[0, 2], []]
    as targets    [[true, false, true], [false, false, false]]
"""

from typing import Any

import numpy as np
import pyarrow as pa

from nli_core.arrays import IntArray
from nli_core.data.arrow import to_arrow, to_numpy

Targets = np.ndarray[Any, np.dtype[Any]]
"""Class numbers [examples], or truth values [examples, labels]."""


def read_targets(column: "pa.Array[Any]", labels: int) -> Targets:
    """Return the targets in a column of class numbers, or of lists of them; `labels` counts the labels."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return to_numpy(column)
    targets = np.zeros((len(column), labels), dtype=np.bool_)
    targets[np.repeat(np.arange(len(column)), to_numpy(column.value_lengths())), to_numpy(column.flatten())] = True
    return targets


def write_targets(targets: Targets, labels: int) -> "pa.Array[Any]":
    """Return the column of these targets, in the smallest type that holds the numbers of so many labels."""
    number = np.uint8 if labels <= 2**8 else np.uint16
    if targets.ndim == 1:
        return to_arrow(targets.astype(number))
    offsets = np.concatenate([[0], targets.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(to_arrow(offsets), to_arrow(np.nonzero(targets)[1].astype(number)))


def count_targets(targets: Targets, labels: int) -> IntArray:
    """Count the examples of each label [labels]."""
    counts: IntArray = np.bincount(targets, minlength=labels) if targets.ndim == 1 else targets.sum(axis=0)
    return counts
