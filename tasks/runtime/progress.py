"""Progress of a stage: on stderr, and as an artifact in Prefect.

An unavailable Prefect server does not delay the work.
"""

import re
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from nli_core.callbacks import StoppedError
from tasks.runtime.delivery import BackgroundSender
from tasks.runtime.shown_progress import ShownProgress

_ARTIFACT_SECONDS = 5.0
_PATIENCE = 2.0  # seconds that a stage waits at its end for Prefect


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
