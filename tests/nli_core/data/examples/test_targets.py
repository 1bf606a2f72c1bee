import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nli_core.data.examples.targets import count_targets, read_targets, write_targets


@given(st.lists(st.lists(st.integers(0, 299), unique=True).map(sorted), max_size=20))
def test_targets_are_read_as_they_were_written(sets: list[list[int]]) -> None:
    for kind in (pa.list_(pa.uint16()), pa.large_list(pa.uint16())):
        targets = read_targets(pa.array(sets, kind), 300)
        assert targets.shape == (len(sets), 300)
        assert [np.flatnonzero(row).tolist() for row in targets] == sets
        column = write_targets(targets, 300)
        assert (column.type, column.to_pylist()) == (pa.list_(pa.uint16()), sets)
        assert count_targets(targets, 300).tolist() == [sum(label in each for each in sets) for label in range(300)]


def test_a_slice_of_a_column_has_its_own_targets() -> None:
    column = pa.array([[0], [1, 2], [], [2]], pa.list_(pa.uint8()))
    assert read_targets(column[1:], 3).tolist() == read_targets(column, 3)[1:].tolist()


@pytest.mark.parametrize(("labels", "kind"), [(256, pa.uint8()), (257, pa.uint16())])
def test_class_numbers_take_as_few_bytes_as_they_can(labels: int, kind: pa.DataType) -> None:
    column = write_targets(np.array([0, 255, 3]), labels)
    assert (column.type, read_targets(column, labels).tolist()) == (kind, [0, 255, 3])
