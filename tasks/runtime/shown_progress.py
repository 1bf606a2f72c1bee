"""Progress on stderr: a bar in a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nli_core.log import LOGGER

_LINE_SECONDS = 10.0


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
