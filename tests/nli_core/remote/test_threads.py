"""Waiting for work that may hang."""

import threading
import time
from collections.abc import Iterator

import pytest

from nli_core.callbacks import StoppedError, never
from nli_core.remote.threads import each_of, wait_for


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """Keeps threads until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_a_stop_does_not_wait_for_a_request_that_hangs(hang: threading.Event) -> None:
    began = time.monotonic()
    with pytest.raises(StoppedError):
        wait_for(hang.wait, lambda: time.monotonic() > began + 0.3)
    assert time.monotonic() - began < 5


def test_a_result_and_an_error_arrive() -> None:
    assert wait_for(lambda: 7, never) == 7
    with pytest.raises(KeyError, match="x"):
        wait_for(lambda: {}["x"], never)


def test_each_item_is_worked_on_once() -> None:
    assert sorted(each_of(lambda item: item * 2, range(100), 8)) == list(range(0, 200, 2))
    assert list(each_of(str, [], 8)) == []


def test_after_an_error_no_further_item_begins(hang: threading.Event) -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 0:
            raise ValueError("the first")
        hang.wait()
        return item

    with pytest.raises(ValueError, match="the first"):
        list(each_of(work, range(100), 2))
    hang.set()
    assert len(begun) <= 4
