"""Progress for whoever watches: a bar in the terminal, plain lines elsewhere, an artifact in Prefect.

An unavailable Prefect server does not delay the work.
"""

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
from nli_core.log import LOGGER
from tasks.runtime.delivery import BackgroundSender

_LINE_SECONDS = 10.0
_ARTIFACT_SECONDS = 5.0
_PATIENCE = 2.0  # seconds that a stage waits at its end for Prefect


class ShownProgress:
    """A bar on a terminal's stderr, or a log line now and then. Call it with what is done, the total and a note."""

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        """Make a row for the stage; a quiet one is not shown, since it would share the terminal with another."""
        self._name, self._quiet = name, quiet
        self._bar = Progress(
            TextColumn("{task.fields[stage]:>9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
            disable=quiet or not sys.stderr.isatty(),
        )
        self._row = self._bar.add_task("", total=None, stage=name)
        self._line_due = time.monotonic()
        self._first: tuple[float, int] | None = None  # the time of the first report, and what was done by then

    def __enter__(self) -> "ShownProgress":
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._bar.stop()

    def __call__(self, done: int, total: int, note: str) -> None:
        """Show what is done."""
        now = time.monotonic()
        self._first = self._first or (now, done)
        self._bar.update(self._row, completed=done, total=total, description=note)
        if self._bar.disable and not self._quiet and (now >= self._line_due or done == total):
            LOGGER.info("%s: %d/%d, %s%s", self._name, done, total, note, self._time_left(now, done, total))
            self._line_due = now + _LINE_SECONDS

    def _time_left(self, now: float, done: int, total: int) -> str:
        assert self._first is not None
        began, before = self._first
        if done in (before, total):
            return ""
        seconds = round((now - began) / (done - before) * (total - done))
        return f", {seconds // 60}:{seconds % 60:02d} left"


class StageProgress(ShownProgress):
    """Progress of a stage, in an artifact of its flow run too."""

    def __init__(self, stage: str, should_stop: Callable[[], bool] = lambda: False, *, quiet: bool = False) -> None:
        """`should_stop` makes a call raise `StoppedError`; it is for stages that restart from the beginning."""
        super().__init__(stage, quiet=quiet)
        self._stage, self._should_stop = stage, should_stop
        created = create_progress_artifact(0.0, key=artifact_key(stage, "progress"), description=f"{stage}: started")
        self._artifact = cast(UUID, created)  # a coroutine only where an event loop runs
        self._sender: BackgroundSender[tuple[float, str]] = BackgroundSender(
            "Prefect", self._update_artifact, every=_ARTIFACT_SECONDS
        )

    def __enter__(self) -> "StageProgress":
        """Show the bar."""
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar and send the last progress."""
        super().__exit__(kind, error, trace)
        self._sender.close(_PATIENCE)

    def __call__(self, done: int, total: int, note: str) -> None:
        """Show what is done.

        Raises:
            StoppedError: the work is to stop.
        """
        if self._should_stop():
            raise StoppedError(f"{self._stage}: stopped")
        super().__call__(done, total, note)
        self._sender.put((100.0 * done / max(total, 1), f"{self._stage}: {note}"))

    def _update_artifact(self, points: Sequence[tuple[float, str]]) -> None:
        progress, description = points[-1]
        update_progress_artifact(self._artifact, progress=progress, description=description)


def artifact_key(*words: str) -> str:
    """Make a key that Prefect accepts for an artifact: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def alone(flow_name: str) -> list[str]:
    """Return the stage that a flow runs alone, in a list that is empty for any other flow: for keys of artifacts."""
    stage, dash, _ = flow_name.partition("-stage")
    return [stage] if dash else []
