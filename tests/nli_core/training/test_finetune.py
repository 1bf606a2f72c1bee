import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.data.examples.shards import ShardSet
from nli_core.errors import UserError
from nli_core.filenames import CHECKPOINTS, MODEL
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device, choose_device
from nli_core.model.encoder import LayeredEncoder
from nli_core.model.weights import load_encoder
from nli_core.training.curves import read_history
from nli_core.training.inputs import Features, Tokens
from nli_core.training.ranks import Ranks

Finetune = Callable[..., dict[str, Any]]
GOLDEN_LOSSES = [1.09564, 1.10327, 1.09951, 1.09880, 1.09652, 1.1009, 1.09776]


def _without_epochs(logged: list[str]) -> list[str]:
    return [line for line in logged if "dev accuracy" not in line]


def _bytes(out: Path) -> dict[str, bytes]:
    """Everything that training leaves, by relative path."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_a_seed_decides_every_byte(tmp_path: Path, run_finetune: Finetune) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        run_finetune(tmp_path / name, seed=seed)
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")
    weights = [load_file(tmp_path / name / MODEL / "model.safetensors") for name in ("one", "three")]
    assert not torch.equal(weights[0]["classifier.weight"], weights[1]["classifier.weight"])


def test_losses_of_a_fixed_seed(tmp_path: Path, run_finetune: Finetune) -> None:
    """Golden numbers: they are to change only with a change that means to change what is computed."""
    run_finetune(tmp_path)
    losses = [point.metrics["train/loss"] for point in read_history(tmp_path) if "train/loss" in point.metrics]
    assert losses == pytest.approx(GOLDEN_LOSSES, rel=1e-4)


@pytest.mark.slow
def test_packed_batches_train_as_well(tmp_path: Path, run_finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU does, on a CPU: other batches, the same task."""
    monkeypatch.setattr(Device, "packs", True)
    facts = run_finetune(tmp_path, epochs=20, learning_rate=3e-3, log_every=15)
    assert facts["applied_attention_dropout"] == 0
    points = [point.metrics for point in read_history(tmp_path) if "train/loss" in point.metrics]
    assert points[-1]["train/loss"] < 0.8 * points[0]["train/loss"]
    assert all(0 <= metrics["train/padding_fraction"] < 1 for metrics in points)


def test_interrupted_packed_batches_end_in_the_same_bytes(
    tmp_path: Path, run_finetune: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "packs", True)
    run_finetune(tmp_path / "whole", checkpoint_every=5)

    def stop(_metrics: Mapping[str, float], step: int) -> None:
        if step == 12:
            raise _StopError

    with pytest.raises(_StopError):
        run_finetune(tmp_path / "cut", checkpoint_every=5, callbacks=TrainingCallbacks(log_metrics=stop))
    run_finetune(tmp_path / "cut", checkpoint_every=5)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


@pytest.mark.parametrize("stops", [[0], [3], [14, 14], [15], [16, 29, 29], [30]])
def test_a_training_asked_to_stop_does_so_at_a_checkpoint(
    tmp_path: Path, run_finetune: Finetune, stopping_at: Callable[[int], TrainingCallbacks], stops: list[int]
) -> None:
    """An epoch has 15 steps: step 15 ends the first one before dev is read, step 30 the last."""
    run_finetune(tmp_path / "whole", log_every=1)
    for stop in stops:
        with pytest.raises(StoppedError, match=f"after step {stop} of 30"):
            run_finetune(tmp_path / "cut", log_every=1, callbacks=stopping_at(stop))
    run_finetune(tmp_path / "cut", log_every=1)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


def test_a_training_stops_while_it_reads_dev(tmp_path: Path, run_finetune: Finetune) -> None:
    run_finetune(tmp_path / "whole", log_every=1)
    done, asked_at_the_end = [0], [0]

    def should_stop() -> bool:
        asked_at_the_end[0] += done[-1] == 15
        return asked_at_the_end[0] > 1  # the first time is before dev

    callbacks = TrainingCallbacks(log_metrics=lambda _metrics, step: done.append(step), should_stop=should_stop)
    with pytest.raises(StoppedError, match="after step 15 of 30"):
        run_finetune(tmp_path / "cut", log_every=1, callbacks=callbacks)
    assert not [point for point in read_history(tmp_path / "cut") if "dev/loss" in point.metrics]
    run_finetune(tmp_path / "cut", log_every=1)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


@pytest.mark.parametrize("damaged", ["model", "optimizer", "history", "position", "digests", "best", "undigested"])
def test_a_damaged_checkpoint_is_named_and_not_used(
    tmp_path: Path, run_finetune: Finetune, damaged: str, flip_byte: Callable[[Path], None], logged: list[str]
) -> None:
    run_finetune(tmp_path / "whole", checkpoint_every=5)

    def stop(_metrics: Mapping[str, float], step: int) -> None:
        if step == 24:
            raise _StopError

    with pytest.raises(_StopError):
        run_finetune(tmp_path / "cut", checkpoint_every=5, callbacks=TrainingCallbacks(log_metrics=stop))
    (checkpoint,) = (tmp_path / "cut" / CHECKPOINTS).iterdir()
    paths = [*checkpoint.glob(f"{damaged}.*"), *checkpoint.glob(f"{damaged}/*")]
    for path in paths:
        flip_byte(path)
    if damaged == "undigested":
        (checkpoint / "digests.json").write_text("{}")
        (checkpoint / "model.safetensors").write_bytes(b"")
    facts = run_finetune(tmp_path / "cut", checkpoint_every=5)
    assert facts["resumed_at_step"] == 0
    (line,) = _without_epochs(logged)
    assert str(checkpoint) in line
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


def test_a_damaged_model_is_exported_again(
    tmp_path: Path, run_finetune: Finetune, flip_byte: Callable[[Path], None], logged: list[str]
) -> None:
    run_finetune(tmp_path)
    whole = _bytes(tmp_path)
    flip_byte(tmp_path / MODEL / "model.safetensors")
    run_finetune(tmp_path)
    assert _bytes(tmp_path) == whole
    assert len(_without_epochs(logged)) == 1


class _StopError(Exception):
    """Ends a training from within, as a crash would."""


@pytest.mark.parametrize("stop_at", [4, 12, 20, 28])
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path, run_finetune: Finetune, stop_at: int) -> None:
    run_finetune(tmp_path / "whole", checkpoint_every=5)

    def stop(_metrics: Mapping[str, float], step: int) -> None:
        if step == stop_at:
            raise _StopError

    with pytest.raises(_StopError):
        run_finetune(tmp_path / "cut", checkpoint_every=5, callbacks=TrainingCallbacks(log_metrics=stop))
    facts = run_finetune(tmp_path / "cut", checkpoint_every=5)
    assert facts["resumed_at_step"] == (stop_at - 1) // 5 * 5
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


KILLED = """
import os, signal, sys
from pathlib import Path
from nli_core.config import FinetuneConfig
from nli_core.callbacks import TrainingCallbacks
from nli_core.training.finetune import finetune
shards, encoder, out, fields = sys.argv[1:]
def kill(metrics, step):
    if step == 20:
        os.kill(os.getpid(), signal.SIGKILL)
finetune(Path(shards), Path(encoder), FinetuneConfig.model_validate_json(fields), out=Path(out),
         callbacks=TrainingCallbacks(log_metrics=kill))
"""


@pytest.mark.slow
def test_a_training_killed_with_sigkill_goes_on_bit_for_bit(
    tmp_path: Path, run_finetune: Finetune, shards: Path, tiny_encoder: Path
) -> None:
    run_finetune(tmp_path / "whole", checkpoint_every=7)
    cut = tmp_path / "cut"
    cut.mkdir()
    fields = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "log_every": 4, "precision": "fp32"}
    arguments = [str(shards), str(tiny_encoder), str(cut), json.dumps({**fields, "checkpoint_every": 7})]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert done.returncode == -9
    run_finetune(cut, checkpoint_every=7)
    assert _bytes(cut) == _bytes(tmp_path / "whole")


def test_one_checkpoint_is_left_and_no_partial_one(tmp_path: Path, run_finetune: Finetune) -> None:
    run_finetune(tmp_path / "out", checkpoint_every=2)
    assert [path.name for path in (tmp_path / "out" / CHECKPOINTS).iterdir()] == ["step-00000030-epoch-0002"]


def test_the_curves_arrive_by_their_names(tmp_path: Path, run_finetune: Finetune) -> None:
    logged: list[tuple[dict[str, float], int]] = []
    run_finetune(
        tmp_path / "out",
        callbacks=TrainingCallbacks(log_metrics=lambda metrics, step: logged.append((dict(metrics), step))),
    )
    train = [(metrics, step) for metrics, step in logged if "train/loss" in metrics]
    dev = [(metrics, step) for metrics, step in logged if "dev/loss" in metrics]
    assert [step for _, step in train] == [4, 8, 12, 16, 20, 24, 28]  # an epoch has 15 steps
    assert [step for _, step in dev] == [15, 30]
    assert train[0][0].keys() == {
        "train/loss",
        "train/learning_rate",
        "train/grad_norm",
        "train/examples_per_second",
        "train/tokens_per_second",
        "train/padding_fraction",
        "train/examples_seen",
    }
    assert [metrics["train/examples_seen"] for metrics, _ in train][2:5] == [192, 256, 320]
    assert [point.step for point in read_history(tmp_path / "out")] == [step for _, step in logged]


def test_every_epoch_is_one_line_and_progress_comes_before_the_first_step(
    tmp_path: Path, run_finetune: Finetune, logged: list[str]
) -> None:
    seen: list[tuple[int, int, str]] = []
    run_finetune(tmp_path / "out", callbacks=TrainingCallbacks(progress=lambda *report: seen.append(report)))
    assert seen[0] == (0, 30, "loading the encoder")
    assert seen[-1][:2] == (30, 30)
    assert re.fullmatch(
        r"finetune: epoch 1/2: train loss 1\.\d+, dev loss 1\.\d+, dev accuracy 0\.\d+; the best", logged[0]
    )
    assert len(logged) == 2


def test_training_learns(tmp_path: Path, run_finetune: Finetune) -> None:
    run_finetune(tmp_path / "out", epochs=20, learning_rate=3e-3, log_every=15)
    losses = [point.metrics["train/loss"] for point in read_history(tmp_path / "out") if "train/loss" in point.metrics]
    assert losses[-1] < 0.8 * losses[0]


def test_the_exported_epoch_is_the_best_on_dev(tmp_path: Path, run_finetune: Finetune) -> None:
    dev: list[Mapping[str, float]] = []
    facts = run_finetune(
        tmp_path / "out",
        epochs=4,
        best_by="loss",
        learning_rate=0.02,
        callbacks=TrainingCallbacks(
            log_metrics=lambda metrics, _step: dev.append(metrics) if "dev/loss" in metrics else None
        ),
    )
    losses = [metrics["dev/loss"] for metrics in dev]
    assert facts["best_epoch"] == losses.index(min(losses)) + 1
    assert facts["best_dev"]["dev/loss"] == min(losses)


def test_training_stops_when_dev_gets_no_better(tmp_path: Path, run_finetune: Finetune) -> None:
    facts = run_finetune(tmp_path / "out", epochs=50, best_by="loss", patience=2, learning_rate=0.02)
    assert facts["epochs"] == facts["best_epoch"] + 2 < 50
    assert (
        run_finetune(tmp_path / "out", epochs=50, best_by="loss", patience=2, learning_rate=0.02)["steps"]
        == facts["steps"]
    )


def test_a_frozen_encoder_keeps_its_weights(tmp_path: Path, run_finetune: Finetune, tiny_encoder: Path) -> None:
    facts = run_finetune(tmp_path / "out", freeze_encoder=True)
    assert facts["trainable_parameters"] == 3 * 32 + 3
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_encoder, tmp_path / "out" / MODEL))
    assert all(torch.equal(tensor, after[f"bert.{name}"]) for name, tensor in before.items())
    assert after["classifier.weight"].abs().sum() > 0


def test_a_loss_that_is_no_number_stops_the_training(
    tmp_path: Path, run_finetune: Finetune, overflowing_encoder: Path
) -> None:
    message = r"the loss became nan in step 1, .* train rows (\d+, ){7}\d+ and 8 more; lower finetune\.learning_rate"
    with pytest.raises(UserError, match=message):
        run_finetune(tmp_path / "out", encoder=overflowing_encoder)
    assert not (tmp_path / "out" / MODEL).exists()


@pytest.mark.parametrize("log_every", [1, 100])
def test_the_last_good_checkpoint_outlives_a_nan_loss(
    tmp_path: Path, run_finetune: Finetune, monkeypatch: pytest.MonkeyPatch, log_every: int
) -> None:
    """The gradients of step 8 are poisoned; its own loss is still good."""
    clip, calls = torch.nn.utils.clip_grad_norm_, [0]

    def poison(parameters: Any, limit: float) -> torch.Tensor:
        calls[0] += 1
        parameters = list(parameters)
        if calls[0] == 8:
            parameters[0].grad[0] = float("inf")
        return clip(parameters, limit)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", poison)
    with pytest.raises(UserError, match=r"gradient's norm became \w+ in step 8.*the checkpoint of step 5 is kept"):
        run_finetune(tmp_path, checkpoint_every=5, log_every=log_every)
    (checkpoint,) = (tmp_path / CHECKPOINTS).iterdir()
    tensors = load_file(checkpoint / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_test_examples_are_not_even_there(
    tmp_path: Path, run_finetune: Finetune, shards: Path, tiny_encoder: Path
) -> None:
    """The book chooses by test and never reads dev."""
    without = shutil.copytree(shards, tmp_path / "shards", ignore=shutil.ignore_patterns("test-*"))
    run_finetune(tmp_path / "one")
    run_finetune(tmp_path / "two", shards=without)
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")


def test_layers_that_the_description_leaves_out_are_named(
    tmp_path: Path, run_finetune: Finetune, tiny_encoder: Path, logged: list[str]
) -> None:
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    described = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps({**described, "num_hidden_layers": 1}))
    run_finetune(tmp_path / "out", encoder=encoder, epochs=1)
    (line,) = _without_epochs(logged)
    assert "leaves 16 tensors of the encoder unused, such as encoder.layer.1." in line


def test_a_batch_larger_than_train_is_refused(tmp_path: Path, run_finetune: Finetune) -> None:
    with pytest.raises(UserError, match=r"finetune\.batch_size: train has 240 examples, fewer than the 241 of a batch"):
        run_finetune(tmp_path / "out", batch_size=241)


def test_an_epoch_may_be_a_single_batch(tmp_path: Path, run_finetune: Finetune) -> None:
    """The book's loop divides by a fifth of the number of batches, rounded down."""
    assert run_finetune(tmp_path / "out", batch_size=240)["steps"] == 2


def test_a_summed_loss_is_reported_as_a_mean_and_learns_the_same(tmp_path: Path, run_finetune: Finetune) -> None:
    facts = [
        run_finetune(tmp_path / name, loss=name, clip_norm=None, weight_decay=0, batch_size=30)
        for name in ("mean", "sum")
    ]
    assert facts[0]["best_dev"]["dev/loss"] == pytest.approx(facts[1]["best_dev"]["dev/loss"], abs=1e-3)
    points = read_history(tmp_path / "mean"), read_history(tmp_path / "sum")
    first, other = (found[0].metrics for found in points)
    assert other["train/loss"] == pytest.approx(first["train/loss"], abs=1e-4)
    assert other["train/grad_norm"] == pytest.approx(30 * first["train/grad_norm"], rel=1e-3)


def test_a_frozen_encoder_reads_each_example_once(
    tmp_path: Path, run_finetune: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    pooled = LayeredEncoder.pooled

    def counted(self: LayeredEncoder, input_ids: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        read.append(len(input_ids))
        return pooled(self, input_ids, *others)

    monkeypatch.setattr(LayeredEncoder, "pooled", counted)
    run_finetune(tmp_path / "out", freeze_encoder=True, epochs=5)
    assert 240 + 60 <= sum(read) < 2 * (240 + 60)  # batches are filled up, and five epochs would read five times
    assert not list((tmp_path / "out").glob("features*"))


def test_features_give_the_logits_of_the_whole_model(tmp_path: Path, shards: Path, tiny_encoder: Path) -> None:
    train, dev = ShardSet(shards, "train"), ShardSet(shards, "dev")
    torch.manual_seed(0)
    model = Classifier(load_encoder(tiny_encoder)[0], train.labels, frozen=True).train()
    device, examples = choose_device("fp32"), np.array([3, 1, 200, 7])
    whole = Tokens(model, train, dev, device, Ranks())
    cached = Features(model, train, dev, device, Ranks(), folder=tmp_path, progress=lambda *_: None)
    logits, expected = (inputs.logits(model, *inputs.load(examples)[0]) for inputs in (cached, whole))
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(cached.dev_logits(lambda *_: None), whole.dev_logits(lambda *_: None), atol=1e-6, rtol=0)


def test_an_interrupted_frozen_training_goes_on_bit_for_bit(tmp_path: Path, run_finetune: Finetune) -> None:
    run_finetune(tmp_path / "whole", checkpoint_every=5, freeze_encoder=True)

    def stop(_metrics: Mapping[str, float], step: int) -> None:
        if step == 12:
            raise _StopError

    with pytest.raises(_StopError):
        run_finetune(
            tmp_path / "cut", checkpoint_every=5, freeze_encoder=True, callbacks=TrainingCallbacks(log_metrics=stop)
        )
    run_finetune(tmp_path / "cut", checkpoint_every=5, freeze_encoder=True)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


def test_a_short_run_has_curves_and_is_checked_too(
    tmp_path: Path, run_finetune: Finetune, overflowing_encoder: Path
) -> None:
    run_finetune(tmp_path / "out", batch_size=240, log_every=20)
    points = [point for point in read_history(tmp_path / "out") if "train/loss" in point.metrics]
    assert [point.step for point in points] == [1, 2]
    with pytest.raises(UserError, match="the loss became nan"):
        run_finetune(tmp_path / "bad", batch_size=240, log_every=20, encoder=overflowing_encoder)
