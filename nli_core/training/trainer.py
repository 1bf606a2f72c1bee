"""One process' part of a training: its share of every batch, and on rank 0 what is written and reported."""

import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from nli_core.arrays import IntArray
from nli_core.callbacks import Point, StoppedError, TrainingCallbacks
from nli_core.data.examples.shards import ShardSet
from nli_core.data.loading.batching import training_batches
from nli_core.errors import UserError
from nli_core.log import LOGGER
from nli_core.model.classifier import Classifier
from nli_core.model.device import choose_device, memory_for
from nli_core.model.encoder import LayeredEncoder
from nli_core.model.families.registry import family_of
from nli_core.model.weights import load_encoder
from nli_core.training.average import AveragedWeights
from nli_core.training.backward import Backward
from nli_core.training.checkpoint import Position
from nli_core.training.facts import model_facts
from nli_core.training.gradients import Gradients, StepSums
from nli_core.training.graphs import Graphs, cuda_capture
from nli_core.training.inputs import Features, Inputs, Tokens, discard_features
from nli_core.training.loss import make_loss
from nli_core.training.optimizer import build_optimizer, learning_rate
from nli_core.training.output import Job, TrainingOutput
from nli_core.training.ranks import OtherRankError, Ranks
from nli_core.training.report import TrainingReport
from nli_core.training.running_metrics import RunningMetrics
from nli_core.training.selection import dev_metrics, has_waited_enough, note_evaluation

_REMEDY = "lower finetune.learning_rate, set finetune.precision=fp32, or check the encoder's weights"


def train(job: Job, ranks: Ranks, callbacks: TrainingCallbacks) -> dict[str, Any]:
    """Do this rank's part of a training; returns the facts.

    Raises:
        UserError, StoppedError: as `finetune`.
        OtherRankError: another rank failed.
    """
    trainer = ranks.together(lambda: _Trainer(job, ranks, callbacks))
    with trainer.device.repeating():
        return trainer.run()


class _Trainer:
    def __init__(self, job: Job, ranks: Ranks, callbacks: TrainingCallbacks) -> None:
        config = self.config = job.config
        self.ranks, self.callbacks, self.out = ranks, callbacks, job.out
        self.train, self.dev = ShardSet(job.shards, "train"), ShardSet(job.shards, "dev")
        if config.batch_size > len(self.train):
            raise UserError(
                f"finetune.batch_size: train has {len(self.train)} examples, fewer than the {config.batch_size} of a "
                "batch; lower it"
            )
        self.steps_per_epoch = -(-len(self.train) // config.batch_size)
        self.total_steps = min(config.epochs * self.steps_per_epoch, config.max_steps or sys.maxsize)
        self.log_every = min(config.log_every, self.steps_per_epoch)
        self.report = TrainingReport(callbacks.progress, config.epochs, self.total_steps)
        self.device = replace(choose_device(config.precision), deterministic=config.deterministic == "always")
        torch.manual_seed(config.seed)
        pretrained, self.load_report = load_encoder(job.encoder)
        self.model = Classifier(
            pretrained, self.train.labels, head_dropout=config.head_dropout, frozen=config.freeze_encoder
        ).to(self.device.torch)
        if note := family_of(pretrained.architecture).note:
            LOGGER.warning("finetune: %s", note)
        if surplus := self.load_report.surplus:
            LOGGER.warning(
                "finetune: config.json leaves %d tensors of the encoder unused, such as %s", len(surplus), surplus[0]
            )
        self.optimizer = build_optimizer(self.model, pretrained.architecture.num_hidden_layers, config)
        targets = torch.from_numpy(self.train.row_targets).to(self.device.torch)
        loss = make_loss(config, self.train.labels, self.train.row_targets, self.device.torch)
        self.average = AveragedWeights(self.model, config.ema)
        # Code of others may wait for the GPU, which a capture cannot.
        ours = isinstance(pretrained, LayeredEncoder)
        capture = cuda_capture(self.device.torch) if self.device.packs and ours else None
        self.gradients = Gradients(self.model, ranks, stay=capture is not None)
        self.backward = Backward(self.model, loss, targets, Graphs(capture))
        self.output = TrainingOutput(job, self.train, self.model, self.optimizer, self.average, ranks, callbacks)
        self.position, self.window = Position(), RunningMetrics({})
        self.resumed_at, self.saved_step, self.feature_seconds = 0, 0, 0.0
        self.last: StepSums | None = None
        self.fault: UserError | None = None

    def run(self) -> dict[str, Any]:
        self.position = self.output.resume()
        self.window = RunningMetrics(self.position.window)
        self.resumed_at = self.saved_step = self.position.step
        if not self.position.finished:
            inputs = self._inputs()
            while not self.position.finished:
                self._run_epoch(inputs)
        self.ranks.first(lambda: discard_features(self.out))
        return self._facts()

    def _inputs(self) -> Inputs:
        if not self.config.freeze_encoder:
            return self.ranks.together(lambda: Tokens(self.model, self.train, self.dev, self.device, self.ranks))
        started = time.perf_counter()
        try:
            features = Features(
                self.model, self.train, self.dev, self.device, self.ranks, folder=self.out, progress=self._pooling
            )
        except StoppedError:
            again = "a rerun computes the encoder's features again"
            raise StoppedError(f"finetune: stopped before the first step; {again}") from None
        self.feature_seconds = time.perf_counter() - started
        return features

    def _pooling(self, done: int, total: int, note: str) -> None:
        self.callbacks.progress(done, total, note)
        self._raise_if_asked()

    def _run_epoch(self, inputs: Inputs) -> None:
        config, position = self.config, self.position
        batches = training_batches(
            self.train.examples.lengths,
            config.batch_size,
            seed=config.seed,
            epoch=position.epoch,
            by_length=not self.device.packs,
        )
        self.model.train()
        self.window.start_clock()
        for examples in batches[position.batch :]:
            if self._is_due_on_dev():
                self._evaluate(inputs)
            if position.finished or position.step == self.total_steps:
                break
            self._end_if_asked()
            with memory_for(describe=partial(self._described, inputs, examples)):
                self._step(inputs, examples)
            last = position.batch == self.steps_per_epoch or position.step == self.total_steps
            due = config.checkpoint_every and position.step % config.checkpoint_every == 0
            if due and not last and not self._is_due_on_dev():
                self._save()
        self.window.pause_clock()
        if not position.finished:
            self._evaluate(inputs)

    def _is_due_on_dev(self) -> bool:
        """Return whether dev is to be measured now, within an epoch."""
        position, every = self.position, self.config.evaluate_every
        within = 0 < position.batch < self.steps_per_epoch and position.step < self.total_steps
        return bool(every and within and position.step % every == 0 and position.measured < position.step)

    def _end_if_asked(self) -> None:
        """Stop at a checkpoint, if asked to. Several ranks agree on it by the flags of the step before."""
        if self.ranks.size == 1:
            asked = self.callbacks.should_stop()
        else:
            self._end_after_fault()
            asked = self.last is not None and self.last.flags()[0]
        if asked:
            self._stop()

    def _stop(self) -> NoReturn:
        self._save()
        raise StoppedError(f"finetune: stopped at a checkpoint after step {self.position.step} of {self.total_steps}")

    def _end_after_fault(self) -> None:
        """End before anything leaves a step in which a rank failed."""
        if self.last is not None and self.last.flags()[1]:
            raise self.fault or OtherRankError

    def _raise_if_asked(self, _done: int = 0, _total: int = 0) -> None:
        if self.callbacks.should_stop():
            raise StoppedError

    def _step(self, inputs: Inputs, examples: IntArray) -> None:
        config, position = self.config, self.position
        rate = learning_rate(position.step, self.total_steps, config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        torch.manual_seed(_step_seed(config.seed, position.step, self.ranks.rank))
        loss, slots = torch.zeros((), device=self.device.torch), 0
        try:
            with memory_for(describe=partial(self._described, inputs, examples)):
                loss, slots = self._add_gradients(inputs, examples)
        except UserError as fault:
            if self.ranks.size == 1:
                raise
            self.fault = fault  # until all ranks know of it
        stop = self.ranks.size > 1 and self.callbacks.should_stop()
        self.last = sums = self.gradients.sum(loss, slots, stop=stop, fault=self.fault is not None)
        limit = config.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        self.optimizer.step()
        self.gradients.clear()
        position.step += 1
        position.batch += 1
        self.average.update(position.step)
        tokens = int(self.train.examples.lengths[examples].sum())
        self.window.add(sums.loss / len(examples), norm, self.train.row_ids[examples], tokens=tokens, slots=sums.slots)
        if position.step % self.log_every == 0:
            self._end_after_fault()
            self._log_window(rate)
        self.report.step(position)

    def _add_gradients(self, inputs: Inputs, examples: IntArray) -> tuple[Tensor, int]:
        """Add this rank's part of the gradients; return the sum of its losses, and its slots."""
        mine, divisor = self.ranks.share(examples), len(examples) if self.config.loss == "mean" else 1
        size = self.config.micro_batch_size or max(1, len(mine))
        total, slots = torch.zeros((), device=self.device.torch), 0
        for taken in (mine[first : first + size] for first in range(0, len(mine), size)):
            loss, more = self.backward.add_gradients(inputs, taken, divisor)
            total, slots = total + loss, slots + more
        return total, slots

    def _described(self, inputs: Inputs, examples: IntArray) -> str:
        longest = int(self.train.examples.lengths[examples].max())
        mine = self.ranks.share(examples)[: self.config.micro_batch_size]
        taken = max(len(part) for parts in inputs.rounds(mine) for part in parts)
        remedy = f"set finetune.micro_batch_size below {taken}, or lower" if taken > 1 else "lower"
        return (
            f"step {self.position.step + 1} of finetune, a batch of {len(examples)} examples of up to {longest} "
            f"tokens, {taken} at a time; {remedy} pack.max_length"
        )

    def _log_window(self, rate: float) -> None:
        position = self.position
        self._refuse_infinite()
        metrics, speeds = self.window.close()
        metrics["train/learning_rate"] = rate
        metrics["train/examples_seen"] = self._examples_seen()
        self.output.add_point(Point(position.step, metrics), speeds)
        self.report.point(metrics, speeds)

    def _examples_seen(self) -> int:
        """Count the examples of all epochs so far: an x-axis for curves of different batch sizes."""
        position, rows = self.position, len(self.train)
        return position.epoch * rows + min(position.batch * self.config.batch_size, rows)

    def _refuse_infinite(self) -> None:
        position = self.position
        if fault := self.window.first_fault(last_step=position.step):
            kept = f"the checkpoint of step {self.saved_step} is kept; " if self.saved_step else ""
            raise UserError(f"finetune: {fault}; {kept}{_REMEDY}")

    def _evaluate(self, inputs: Inputs) -> None:
        """Measure dev at the end of an epoch, of the training, or within an epoch; write a checkpoint."""
        config, position = self.config, self.position
        self._end_if_asked()
        self._end_after_fault()
        self._refuse_infinite()
        self.window.pause_clock()
        try:
            with self.average.applied():
                own = self.ranks.together(lambda: inputs.dev_logits(self._raise_if_asked))
        except StoppedError:
            self._stop()
        dev = dev_metrics(self.ranks.sum(own), torch.from_numpy(self.dev.targets))
        if not dev["dev/loss"] < float("inf"):
            raise UserError(f"finetune: the loss on dev became {dev['dev/loss']} after step {position.step}; {_REMEDY}")
        if position.batch == self.steps_per_epoch:
            position.epoch, position.batch = position.epoch + 1, 0
        else:
            position.measured = position.step
        epochs = self._epochs_done()
        self.output.add_point(Point(position.step, {**dev, "epoch": epochs}), {})
        improved = note_evaluation(position, dev, epochs, config)
        self.report.evaluation(position, epochs, dev)
        position.finished = position.step == self.total_steps or has_waited_enough(position, config)
        self._save(improved=improved)
        if position.finished and self.window.steps:
            self.window.close()  # few steps, whose loss would look like a spike: they are timed alone
        self.model.train()
        self.window.start_clock()

    def _epochs_done(self) -> float:
        """Count the epochs so far; a whole number at the end of each."""
        position = self.position
        return position.epoch + (round(position.batch / self.steps_per_epoch, 4) if position.batch else 0)

    def _save(self, *, improved: bool = False) -> None:
        self._end_after_fault()
        self._refuse_infinite()
        self.position.window = self.window.totals()
        write = self.output.finish if self.position.finished else self.output.save
        write(self.position, improved=improved)
        self.saved_step = self.position.step

    def _facts(self) -> dict[str, Any]:
        window = self.window
        return {
            "steps": self.position.step,
            "epochs": self._epochs_done(),
            "best_epoch": self.position.best_epoch,
            "best_dev": self.position.best_dev,
            "resumed_at_step": self.resumed_at,
            "training_seconds": round(window.seconds, 3),
            "feature_seconds": round(self.feature_seconds, 3),
            "examples_per_second": round(window.examples / window.seconds, 1) if window.examples else None,
            "devices": self.ranks.size,
            **model_facts(self.model, self.device, self.load_report),
        }


def _step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of a step's random numbers, so that no checkpoint needs a random state."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])
