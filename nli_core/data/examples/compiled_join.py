"""`join_parts` in compiled loops, for whole corpora. They run without Python's lock."""

from collections.abc import Sequence

import numpy as np

from nli_core.arrays import Int32s, IntArray, Ints
from nli_core.compiled import compiled
from nli_core.data.examples.join import Fill, Part


def join_parts_compiled(parts: Sequence[Part]) -> tuple[IntArray, IntArray]:
    """Join as `join_parts` does; the values are int32."""
    lengths = np.sum([part.kept for part in parts], axis=0)
    starts = np.cumsum(lengths) - lengths
    out = np.empty(int(lengths.sum()), np.int32)
    for part in parts:
        if isinstance(part, Fill):
            _repeat_value(part.value, part.kept, out, starts)
        else:
            _copy_rows(part.values, part.lengths, part.kept, out, starts)
    return out, lengths


@compiled
def _copy_rows(values: Int32s, lengths: Ints, kept: Ints, out: Int32s, starts: Ints) -> None:
    """Copy the first `kept[i]` of the `lengths[i]` values of each row to `out` from `starts[i]` on, moving `starts`."""
    start = 0
    for row in range(len(lengths)):
        for position in range(kept[row]):
            out[starts[row] + position] = values[start + position]
        starts[row] += kept[row]
        start += lengths[row]


@compiled
def _repeat_value(value: int, times: Ints, out: Int32s, starts: Ints) -> None:
    """Write `value` `times[i]` times to `out` from `starts[i]` on, moving `starts`."""
    for row in range(len(times)):
        for position in range(times[row]):
            out[starts[row] + position] = value
        starts[row] += times[row]
