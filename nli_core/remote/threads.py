"""Waiting for a bucket on daemon threads: a request that hangs delays neither a stop nor the end of the process."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

from nli_core.callbacks import ShouldStop, StoppedError

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_SECONDS = 0.2


def wait_for(work: Callable[[], Result], should_stop: ShouldStop) -> Result:
    """Do `work` on a thread and return what it returns.

    Raises:
        StoppedError: `should_stop` returned true first. The thread is left alone with its request.
        Exception: what `work` raised.
    """
    results: SimpleQueue[Result | BaseException] = SimpleQueue()
    _start(lambda: _put(results, work))
    while True:
        try:
            return _value(results.get(timeout=_POLL_SECONDS))
        except Empty:
            if should_stop():
                raise StoppedError("stopped while the bucket was waited for") from None


def each_of(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Yield what `work` returns for each item, as they come; an error ends it, and no further item begins."""
    waiting: SimpleQueue[Item] = SimpleQueue()
    results: SimpleQueue[Result | BaseException] = SimpleQueue()
    count, over = 0, threading.Event()
    for item in items:
        waiting.put(item)
        count += 1

    def run() -> None:
        while not over.is_set():
            try:
                item = waiting.get_nowait()
            except Empty:
                return
            _put(results, partial(work, item))

    for _ in range(min(threads, count)):
        _start(run)
    try:
        for _ in range(count):
            yield _value(results.get())
    finally:
        over.set()


def _start(work: Callable[[], object]) -> None:
    threading.Thread(target=copy_context().run, args=(work,), name="bucket", daemon=True).start()


def _put(results: "SimpleQueue[Result | BaseException]", work: Callable[[], Result]) -> None:
    try:
        results.put(work())
    except BaseException as error:  # raised by who takes it
        results.put(error)


def _value(result: Result | BaseException) -> Result:
    if isinstance(result, BaseException):
        raise result
    return result
