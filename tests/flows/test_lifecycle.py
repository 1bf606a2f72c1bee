"""What every flow does around its work."""

import gc
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow

from flows.lifecycle import lifetime

DEFAULT = 700, 10, 10


@pytest.fixture
def default_threshold() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*DEFAULT)
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize("of_a_worker", [False, True])
def test_garbage_is_collected_rarely_in_a_process_of_a_workers_alone(
    of_a_worker: bool,
    prefect_server: str,
    workplace: Path,
    default_threshold: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    if of_a_worker:
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(uuid4()))
    threshold = []

    @flow
    def empty() -> None:
        with lifetime():
            threshold.append(gc.get_threshold())

    empty()
    assert (threshold == [DEFAULT]) is not of_a_worker
