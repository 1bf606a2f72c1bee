"""How the core tells of its progress, and is told to stop: through callables that the caller passes in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

LogMetrics = Callable[[Mapping[str, float], int], object]
"""Takes metrics by name and the step that they belong to; has the shape of MLflow's `log_metrics`."""

Progress = Callable[[int, int, str], object]
"""Takes what is done, what there is to do in all, and a few words about the present state."""

ShouldStop = Callable[[], bool]
"""Whether work is to end early."""


def never() -> bool:
    """The `ShouldStop` of work that nobody stops."""
    return False


class Point(NamedTuple):
    """A point of the training curves: metrics by name after `step` optimiser steps."""

    step: int
    metrics: dict[str, float]


class StoppedError(Exception):
    """Work ended early because it was asked to; what it had done is kept for the next try."""


@dataclass(frozen=True)
class Watch:
    """Who watches a training: takes its metrics and progress, and may ask it to stop.

    A training that goes on logs its curves from the beginning, but for the speeds. `before_checkpoint` is called when a
    checkpoint is about to be written: the speeds until then are never logged again. `should_stop` is asked every step;
    once it says yes, training writes a checkpoint and raises `StoppedError`.
    `say` is told what a user ought to know besides.
    """

    log_metrics: LogMetrics = lambda _metrics, _step: None
    progress: Progress = lambda _done, _total, _note: None
    before_checkpoint: Callable[[], object] = lambda: None
    should_stop: ShouldStop = never
    say: Callable[[str], object] = print
