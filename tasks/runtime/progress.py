"""Progress for whoever watches: a bar in the terminal, plain lines elsewhere, an artifact in Prefect.

A Prefect server that goes away does not hold up the work.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nli_core.callbacks import StoppedError
from tasks.runtime.delivery import Outbox

LOGGER = logging.getLogger("nli")
_LINE_SECONDS = 10.0
_ARTIFACT_SECONDS = 5.0
_PATIENCE = 2.0  # seconds that a stage waits at its end for Prefect


class ShownProgress:
    """A bar on a terminal's stderr, or now and then a line; call it with what is done, the total and a note."""

    def __init__(self, name: str, say: Callable[[str], object] = LOGGER.info) -> None:
        """`say` takes the lines where there is no terminal."""
        self._name, self._say = name, say
        self._bar = Progress(
            TextColumn("{task.fields[stage]:>9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._row = self._bar.add_task("", total=None, stage=name)
        self._line_due = time.monotonic()
        self._first: tuple[float, int] | None = None  # when the first report came, and what was done by then

    def __enter__(self) -> "ShownProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        self._first = self._first or (now, done)
        self._bar.update(self._row, completed=done, total=total, description=note)
        if self._bar.disable and (now >= self._line_due or done == total):
            self._say(f"{self._name}: {done}/{total}, {note}{self._time_left(now, done, total)}")
            self._line_due = now + _LINE_SECONDS

    def _time_left(self, now: float, done: int, total: int) -> str:
        assert self._first is not None
        began, before = self._first
        if done in (before, total):
            return ""
        seconds = round((now - began) / (done - before) * (total - done))
        return f", {seconds // 60}:{seconds % 60:02d} left"


class StageProgress(ShownProgress):
    """What a stage reports while its `with` block runs, in an artifact of its flow run too."""

    def __init__(self, stage: str, should_stop: Callable[[], bool] = lambda: False) -> None:
        """A call raises `StoppedError` if `should_stop`: for stages that begin anew after that."""
        super().__init__(stage)
        self._stage, self._should_stop = stage, should_stop
        created = create_progress_artifact(0.0, key=artifact_key(stage, "progress"), description=f"{stage}: begun")
        self._artifact = cast(UUID, created)  # a coroutine only where an event loop runs
        self._outbox: Outbox[tuple[float, str]] = Outbox(
            "Prefect", self._update_artifact, every=_ARTIFACT_SECONDS, say=LOGGER.warning
        )

    def __enter__(self) -> "StageProgress":
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._outbox.close(_PATIENCE)

    def __call__(self, done: int, total: int, note: str) -> None:
        if self._should_stop():
            raise StoppedError(f"{self._stage}: stopped")
        super().__call__(done, total, note)
        self._outbox.put((100.0 * done / max(total, 1), f"{self._stage}: {note}"))

    def _update_artifact(self, points: Sequence[tuple[float, str]]) -> None:
        progress, description = points[-1]
        update_progress_artifact(self._artifact, progress=progress, description=description)


def artifact_key(*words: str) -> str:
    """A key that Prefect takes for an artifact: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")
