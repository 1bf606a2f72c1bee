"""How the core tells of its progress: through callables that the caller passes in."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

LogMetrics = Callable[[Mapping[str, float], int], object]
"""Takes metrics by name and the step that they belong to; has the shape of MLflow's `log_metrics`."""

Progress = Callable[[int, int, str], object]
"""Takes what is done, what there is to do in all, and a few words about the present state."""


class Point(NamedTuple):
    """A point of the training curves: metrics by name after `step` optimiser steps."""

    step: int
    metrics: dict[str, float]
