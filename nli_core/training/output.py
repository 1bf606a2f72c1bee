"""What a training leaves in its folder: checkpoints, curves and at its end the best model.

Rank 0 writes and reports, while the others wait.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from nli_core import atomic
from nli_core.callbacks import Point, TrainingCallbacks
from nli_core.config import FinetuneConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.filenames import CHECKPOINTS, MODEL, TOKENIZER
from nli_core.hashing import folder_digests
from nli_core.model.classifier import Classifier
from nli_core.model.saved import save_classifier
from nli_core.training.average import AveragedWeights
from nli_core.training.checkpoint import Position, link_best, newest_intact, restore, save_checkpoint
from nli_core.training.curves import add_point, read_history, reset_history
from nli_core.training.ranks import Ranks


@dataclass(frozen=True)
class Job:
    """A training: packed examples, a pretrained encoder, how to train it, and the folder that gets the results."""

    shards: Path
    encoder: Path
    config: FinetuneConfig
    out: Path


class TrainingOutput:
    """Writes a training's folder. Every rank calls its methods, in the same order."""

    def __init__(
        self,
        job: Job,
        train: ShardSet,
        model: Classifier,
        optimizer: torch.optim.Optimizer,
        average: AveragedWeights,
        ranks: Ranks,
        callbacks: TrainingCallbacks,
    ) -> None:
        self._train = train
        self._job, self._model, self._optimizer, self._average = job, model, optimizer, average
        self._ranks, self._callbacks = ranks, callbacks
        self._checkpoints = job.out / CHECKPOINTS

    def resume(self) -> Position:
        """Put everything back to the newest checkpoint, and report its curves again. A damaged one is deleted."""
        found: list[Path | None] = [None]

        def choose() -> None:
            found[0] = newest_intact(self._checkpoints)
            reset_history(self._job.out, found[0])
            for point in read_history(self._job.out):
                self._callbacks.log_metrics(point.metrics, point.step)

        self._ranks.first(choose)
        return restore(found[0], self._model, self._optimizer, self._average, self._ranks)

    def add_point(self, point: Point, speeds: Mapping[str, float]) -> None:
        """Add a point to the curves. The clock's speeds are reported alone."""

        def write() -> None:
            add_point(self._job.out, point)
            self._callbacks.log_metrics({**point.metrics, **speeds}, point.step)

        self._ranks.first(write)

    def save(self, position: Position, *, improved: bool = False) -> None:
        """Write a checkpoint, with the model of the best epoch: the present one if it `improved`."""
        best = None if position.finished else self._best(position, improved)

        def write() -> None:
            self._callbacks.before_checkpoint()
            save_checkpoint(self._checkpoints, self._model, self._optimizer, self._average, position, write_best=best)

        self._ranks.first(write)

    def finish(self, position: Position, *, improved: bool) -> None:
        """Move the best model to its final folder, from where the last checkpoint no longer keeps it."""
        best, out = self._best(position, improved), self._job.out

        def write() -> None:
            fresh = out / f"{MODEL}.fresh"
            for folder in (fresh, out / MODEL):
                shutil.rmtree(folder, ignore_errors=True)
            assert best
            best(fresh)
            atomic.sync_tree(fresh)
            fresh.rename(out / MODEL)
            position.exported = folder_digests(out / MODEL)

        self._ranks.first(write)
        self.save(position)

    def _best(self, position: Position, improved: bool) -> Callable[[Path], object] | None:
        if improved:
            return self._export
        return (lambda target: link_best(self._checkpoints, target)) if position.best_epoch else None

    def _export(self, target: Path) -> None:
        encoder, tokenizer = self._job.encoder, self._job.shards / TOKENIZER
        with self._average.applied():
            save_classifier(
                self._model,
                encoder,
                tokenizer,
                target,
                pack=self._train.metadata[0].config,
                pairs=self._train.examples.pairs,
                separator=self._train.separator,
            )
