import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nli_core.data.arrow import strings, to_arrow, to_numpy

KINDS = ("uint8", "uint16", "uint32", "int32", "int64", "double")


@pytest.mark.parametrize("kind", KINDS)
@given(values=st.lists(st.integers(0, 255)), start=st.integers(0, 5))
def test_numbers_there_and_back(kind: str, values: list[int], start: int) -> None:
    column = pa.array(values, kind)[start:]
    numbers = to_numpy(column)
    assert numbers.tolist() == values[start:]
    assert numbers.dtype == column.to_numpy(zero_copy_only=False).dtype
    assert to_arrow(numbers).equals(column)


def test_memory_is_shared_and_need_not_be_contiguous() -> None:
    values = np.arange(10, dtype=np.int32)
    assert np.shares_memory(to_numpy(to_arrow(values)), values)
    assert to_arrow(values[::3]).to_pylist() == [0, 3, 6, 9]


def test_texts_are_arrows_own() -> None:
    texts = ["a", "", "\u2603"]
    assert strings(texts).equals(pa.array(texts, pa.large_string()))


def test_pandas_is_not_imported() -> None:
    code = (
        "import sys, numpy; from nli_core.data.arrow import *;"
        "to_numpy(to_arrow(numpy.arange(3))); strings(['a']); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
