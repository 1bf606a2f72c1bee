"""How the core reports progress, and learns that it is to stop: through callables that the caller passes in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

LogMetrics = Callable[[Mapping[str, float], int], object]
"""Takes metrics by name and their step; has the shape of MLflow's `log_metrics`."""

Progress = Callable[[int, int, str], object]
"""Takes what is done, the total, and a note about the present state."""

ShouldStop = Callable[[], bool]
"""Returns whether work is to end early."""


def never() -> bool:
    """Never stop: the default `ShouldStop`."""
    return False


def no_progress(_done: int, _total: int, _note: str) -> None:
    """Report nothing: the default `Progress`."""


class Point(NamedTuple):
    """A point of the training curves: metrics by name after `step` optimiser steps."""

    step: int
    metrics: dict[str, float]


class StoppedError(Exception):
    """Work ended early because it was asked to. What it had done is kept for the next try."""


@dataclass(frozen=True)
class TrainingCallbacks:
    """Who takes a training's metrics and progress, and who may stop it.

    A resumed training logs its curves again from the beginning, except for speeds. `before_checkpoint` is called just
    before a checkpoint is written: the speeds until then are never logged again. `should_stop` is called at every step.
    Once it returns true, training writes a checkpoint and raises `StoppedError`.
    """

    log_metrics: LogMetrics = lambda _metrics, _step: None
    progress: Progress = no_progress
    before_checkpoint: Callable[[], object] = lambda: None
    should_stop: ShouldStop = never
