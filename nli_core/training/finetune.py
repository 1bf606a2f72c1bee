"""The finetune stage: train an encoder and a new head on packed examples."""

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from nli_core import atomic
from nli_core.arrays import IntArray
from nli_core.callbacks import Point, StoppedError, TrainingCallbacks
from nli_core.config import FinetuneConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.data.loading.batching import training_batches
from nli_core.errors import UserError
from nli_core.filenames import CHECKPOINTS, MODEL, TOKENIZER
from nli_core.hashing import folder_digests
from nli_core.log import LOGGER
from nli_core.malloc import keep_freed_memory
from nli_core.model.classifier import Classifier
from nli_core.model.device import choose_device, memory_for
from nli_core.model.dropout import applied_rate
from nli_core.model.saved import save_classifier
from nli_core.model.weights import load_encoder
from nli_core.training.checkpoint import link_best, resume, save_checkpoint
from nli_core.training.curves import add_point, read_history
from nli_core.training.inputs import Features, Inputs, Tokens, discard_features
from nli_core.training.optimizer import build_optimizer, learning_rate
from nli_core.training.running_metrics import RunningMetrics

_REMEDY = "lower finetune.learning_rate, set finetune.precision=fp32, or check the encoder's weights"


def finetune(
    shards: Path, encoder: Path, config: FinetuneConfig, *, out: Path, callbacks: TrainingCallbacks | None = None
) -> dict[str, Any]:
    """Fine-tune `encoder` on the train shards; leave the best epoch by dev in `out/model`, and the last checkpoint.

    Resumes from the newest checkpoint in `out`, if there is one. The same config on the same device gives the same
    weights, interrupted or not. Returns the facts.

    Raises:
        UserError: the encoder's files do not fit together, or a batch is larger than train or than the memory. Or a
            loss or gradient became NaN or infinite; no checkpoint has the weights after that.
        StoppedError: `callbacks` asked for it; the last checkpoint is where training ended.
    """
    training = _Training(shards, encoder, config, out=out, callbacks=callbacks or TrainingCallbacks())
    with keep_freed_memory():
        return training.run()


class _Training:
    def __init__(
        self, shards: Path, encoder: Path, config: FinetuneConfig, *, out: Path, callbacks: TrainingCallbacks
    ) -> None:
        self.config = config
        self.out = out
        self.encoder_folder, self.tokenizer_folder = encoder, shards / TOKENIZER
        self.callbacks = callbacks
        self.train, self.dev = ShardSet(shards, "train"), ShardSet(shards, "dev")
        if config.batch_size > len(self.train):
            raise UserError(
                f"finetune.batch_size: train has {len(self.train)} examples, fewer than the {config.batch_size} of a "
                "batch; lower it"
            )
        self.device = choose_device(config.precision)
        torch.manual_seed(config.seed)
        pretrained, self.load_report = load_encoder(encoder)
        self.model = Classifier(
            pretrained, self.train.labels, head_dropout=config.head_dropout, frozen=config.freeze_encoder
        ).to(self.device.torch)
        if surplus := [name for name in self.load_report.unused if name.startswith("encoder.")]:
            LOGGER.warning(
                "finetune: config.json leaves %d tensors of the encoder unused, such as %s", len(surplus), surplus[0]
            )
        self.optimizer = build_optimizer(self.model, config)
        self.position = resume(out / CHECKPOINTS, self.model, self.optimizer)
        for point in read_history(out):
            callbacks.log_metrics(point.metrics, point.step)
        self.window = RunningMetrics(self.position.window)
        self.steps_per_epoch = -(-len(self.train) // config.batch_size)
        self.total_steps = config.epochs * self.steps_per_epoch
        self.resumed_at = self.saved_step = self.position.step
        self.feature_seconds = 0.0

    def run(self) -> dict[str, Any]:
        if not self.position.finished:
            inputs = self._inputs()
            while not self.position.finished:
                self._run_epoch(inputs)
        discard_features(self.out)
        return self._facts()

    def _inputs(self) -> Inputs:
        if not self.config.freeze_encoder:
            return Tokens(self.model, self.train, self.dev, self.device)
        started = time.perf_counter()
        features = Features(self.model, self.train, self.dev, self.device, folder=self.out, progress=self._pooling)
        self.feature_seconds = time.perf_counter() - started
        return features

    def _pooling(self, done: int, total: int, note: str) -> None:
        self.callbacks.progress(done, total, note)
        if self.callbacks.should_stop():
            raise StoppedError("finetune: stopped before the first step; a rerun computes the encoder's features again")

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
        self.window.restart_clock()
        for examples in batches[position.batch :]:
            self._stop_if_asked()
            with memory_for(describe=partial(self._described, examples)):
                self._step(inputs, examples)
            last_of_epoch = position.batch == self.steps_per_epoch
            if config.checkpoint_every and position.step % config.checkpoint_every == 0 and not last_of_epoch:
                self._save(self._link_best if position.best_epoch else None)
        self._end_epoch(inputs)

    def _stop_if_asked(self) -> None:
        if self.callbacks.should_stop():
            self._save(self._link_best if self.position.best_epoch else None)
            raise StoppedError(
                f"finetune: stopped at a checkpoint after step {self.position.step} of {self.total_steps}"
            )

    def _step(self, inputs: Inputs, examples: IntArray) -> None:
        config, position = self.config, self.position
        rate = learning_rate(position.step, self.total_steps, config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        labels = torch.from_numpy(self.train.label_ids[examples]).to(self.device.torch, non_blocking=True)
        logits, slots = inputs.train_logits(examples)
        loss = functional.cross_entropy(logits.float(), labels)
        torch.autograd.backward(loss * len(examples) if config.loss == "sum" else loss)
        limit = config.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        position.step += 1
        position.batch += 1
        tokens = int(self.train.examples.lengths[examples].sum())
        self.window.add(loss, norm, self.train.ids[examples], tokens=tokens, slots=slots)
        if position.step % config.log_every == 0 or position.batch == self.steps_per_epoch:
            self._log_window(rate)

    def _described(self, examples: IntArray) -> str:
        longest = int(self.train.examples.lengths[examples].max())
        return (
            f"step {self.position.step + 1} of finetune, a batch of {len(examples)} examples of up to {longest} "
            "tokens; lower finetune.batch_size or pack.max_length"
        )

    def _log_window(self, rate: float) -> None:
        position = self.position
        self._refuse_infinite()
        metrics, speeds = self.window.close()
        metrics["train/learning_rate"] = rate
        metrics["train/examples_seen"] = self._examples_seen()
        add_point(self.out, Point(position.step, metrics))
        self.callbacks.log_metrics({**metrics, **speeds}, position.step)
        note = f"loss {metrics['train/loss']:.3f}, {speeds['train/examples_per_second']:.0f} examples/s"
        self.callbacks.progress(
            position.step, self.total_steps, f"epoch {position.epoch + 1}/{self.config.epochs}, {note}"
        )

    def _examples_seen(self) -> int:
        """Count the examples of all epochs so far: an x-axis for curves of different batch sizes."""
        position, rows = self.position, len(self.train)
        return position.epoch * rows + min(position.batch * self.config.batch_size, rows)

    def _refuse_infinite(self) -> None:
        position = self.position
        if fault := self.window.first_fault(last_step=position.step):
            kept = f"the checkpoint of step {self.saved_step} is kept; " if self.saved_step else ""
            raise UserError(f"finetune: {fault}; {kept}{_REMEDY}")

    def _end_epoch(self, inputs: Inputs) -> None:
        config, position = self.config, self.position
        self._stop_if_asked()
        logits = inputs.dev_logits(lambda _done, _total: self._stop_if_asked())
        labels = torch.from_numpy(self.dev.label_ids)
        dev = {
            "dev/loss": float(functional.cross_entropy(logits, labels)),
            "dev/accuracy": float((logits.argmax(dim=1) == labels).double().mean()),
        }
        if not dev["dev/loss"] < float("inf"):
            raise UserError(f"finetune: the loss on dev became {dev['dev/loss']} after step {position.step}; {_REMEDY}")
        position.epoch += 1
        position.batch = 0
        add_point(self.out, Point(position.step, {**dev, "epoch": position.epoch}))
        self.callbacks.log_metrics({**dev, "epoch": position.epoch}, position.step)
        note = f"epoch {position.epoch}/{config.epochs}, dev accuracy {dev['dev/accuracy']:.4f}"
        self.callbacks.progress(position.step, self.total_steps, note)
        write_best = self._link_best
        if _is_better(dev, position.best_dev, config):
            position.best_epoch, position.best_dev = position.epoch, dev
            write_best = self._export
        waited = position.epoch - (position.best_epoch or 0)
        position.finished = position.epoch == config.epochs or (
            config.patience is not None and waited >= config.patience
        )
        if position.finished:
            self._finish(write_best)
        else:
            self._save(write_best)

    def _export(self, target: Path) -> None:
        pack = self.train.metadata[0].config
        pairs = self.train.examples.pairs
        save_classifier(self.model, self.encoder_folder, self.tokenizer_folder, target, pack=pack, pairs=pairs)

    def _link_best(self, target: Path) -> None:
        link_best(self.out / CHECKPOINTS, target)

    def _finish(self, write_best: Callable[[Path], object]) -> None:
        """Move the best model to its final folder, from where the last checkpoint no longer keeps it."""
        fresh = self.out / f"{MODEL}.fresh"
        for folder in (fresh, self.out / MODEL):
            shutil.rmtree(folder, ignore_errors=True)
        write_best(fresh)
        atomic.sync_tree(fresh)
        fresh.rename(self.out / MODEL)
        self.position.exported = folder_digests(self.out / MODEL)
        self._save(None)

    def _save(self, write_best: Callable[[Path], object] | None) -> None:
        self._refuse_infinite()
        self.callbacks.before_checkpoint()
        self.position.window = self.window.totals()
        folder = self.out / CHECKPOINTS
        save_checkpoint(folder, self.model, self.optimizer, self.position, write_best=write_best)
        self.saved_step = self.position.step

    def _facts(self) -> dict[str, Any]:
        parameters = list(self.model.parameters())
        architecture = self.model.encoder.architecture
        return {
            "steps": self.position.step,
            "epochs": self.position.epoch,
            "best_epoch": self.position.best_epoch,
            "best_dev": self.position.best_dev,
            "resumed_at_step": self.resumed_at,
            "training_seconds": round(self.window.seconds, 3),
            "feature_seconds": round(self.feature_seconds, 3),
            "examples_per_second": round(self.window.examples / self.window.seconds, 1)
            if self.window.examples
            else None,
            "device": str(self.device.torch),
            "precision": self.device.precision,
            "precision_reason": self.device.reason,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "parameters": sum(parameter.numel() for parameter in parameters),
            "trainable_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
            "applied_dropout": applied_rate(architecture.hidden_dropout_prob, self.device.torch),
            "applied_attention_dropout": 0.0
            if self.device.packs
            else applied_rate(architecture.attention_probs_dropout_prob, self.device.torch),
            "unused_tensors": self.load_report.unused,
            "fresh_tensors": self.load_report.fresh,
        }


def _is_better(dev: dict[str, float], best: dict[str, float], config: FinetuneConfig) -> bool:
    if not best:
        return True
    if config.best_by == "loss":
        return dev["dev/loss"] < best["dev/loss"]
    return dev["dev/accuracy"] > best["dev/accuracy"]
