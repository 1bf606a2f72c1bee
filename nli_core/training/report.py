"""What somebody who watches a training sees: its progress now and then, and one line for each evaluation."""

import time
from collections.abc import Mapping

from nli_core.callbacks import Progress
from nli_core.log import LOGGER
from nli_core.training.checkpoint import Position

_SECONDS = 1.0


class TrainingReport:
    """Reports a training of so many epochs and steps."""

    def __init__(self, progress: Progress, epochs: int, steps: int) -> None:
        self._progress, self._epochs, self._steps = progress, epochs, steps
        self._note = self._loss = ""  # of the last point of the curves
        self._due = 0.0
        progress(0, steps, "loading the encoder")

    def point(self, metrics: Mapping[str, float], speeds: Mapping[str, float]) -> None:
        """Take a point of the curves into account."""
        self._loss = f"train loss {metrics['train/loss']:.3f}, "
        self._note = f", loss {metrics['train/loss']:.3f}, {speeds['train/examples_per_second']:.0f} examples/s"

    def step(self, position: Position) -> None:
        """Report a step, unless another was reported just before."""
        now = time.monotonic()
        if now >= self._due or position.step == self._steps:
            self._due = now + _SECONDS
            self._progress(position.step, self._steps, f"epoch {position.epoch + 1}/{self._epochs}{self._note}")

    def evaluation(self, position: Position, epochs: float, dev: Mapping[str, float]) -> None:
        """Log an evaluation on dev after so many epochs."""
        best = "the best" if position.best_epoch == epochs else f"the best was epoch {position.best_epoch:g}"
        measured = f"{self._loss}dev loss {dev['dev/loss']:.3f}, dev accuracy {dev['dev/accuracy']:.4f}"
        if "dev/micro_f1" in dev:
            measured = f"{measured}, micro-F1 {dev['dev/micro_f1']:.4f}"
        LOGGER.info("finetune: epoch %g/%d: %s; %s", epochs, self._epochs, measured, best)
