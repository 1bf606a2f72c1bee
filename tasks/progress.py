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

from nli_core.progress import StoppedError
from tasks.outbox import Outbox

LOGGER = logging.getLogger("nli")
_LINE_SECONDS = 10.0
_ARTIFACT_SECONDS = 5.0
_PATIENCE = 2.0  # seconds that a stage waits at its end for Prefect


class StageProgress:
    """Shows what a stage reports while its `with` block runs. Call it with what is done, the total and a note."""

    def __init__(self, stage: str, should_stop: Callable[[], bool] = lambda: False) -> None:
        """A call raises `StoppedError` if `should_stop`: for stages that begin anew after that."""
        self._stage, self._should_stop = stage, should_stop
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
        self._row = self._bar.add_task("", total=None, stage=stage)
        created = create_progress_artifact(0.0, key=artifact_key(stage, "progress"), description=f"{stage}: begun")
        self._artifact = cast(UUID, created)  # a coroutine only where an event loop runs
        self._outbox: Outbox[tuple[float, str]] = Outbox(
            "Prefect", self._update_artifact, every=_ARTIFACT_SECONDS, say=LOGGER.warning
        )
        self._line_due = time.monotonic()

    def __enter__(self) -> "StageProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._outbox.close(_PATIENCE)

    def __call__(self, done: int, total: int, note: str) -> None:
        if self._should_stop():
            raise StoppedError(f"{self._stage}: stopped")
        now = time.monotonic()
        self._bar.update(self._row, completed=done, total=total, description=note)
        if self._bar.disable and (now >= self._line_due or done == total):
            LOGGER.info("%s: %d/%d, %s", self._stage, done, total, note)
            self._line_due = now + _LINE_SECONDS
        self._outbox.put((100.0 * done / max(total, 1), f"{self._stage}: {note}"))

    def _update_artifact(self, points: Sequence[tuple[float, str]]) -> None:
        progress, description = points[-1]
        update_progress_artifact(self._artifact, progress=progress, description=description)


def artifact_key(*words: str) -> str:
    """A key that Prefect takes for an artifact: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")
