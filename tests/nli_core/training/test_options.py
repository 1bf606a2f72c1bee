"""Options of a training: each does what its paper says, and all of them together resume bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.config import FinetuneConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.errors import UserError
from nli_core.filenames import MODEL
from nli_core.inference.logits import predict_logits
from nli_core.inference.prepare import prepare_for_inference
from nli_core.model.classifier import Classifier
from nli_core.model.device import choose_device
from nli_core.model.saved import load_classifier
from nli_core.model.weights import load_encoder
from nli_core.training.average import AveragedWeights
from nli_core.training.curves import read_history
from nli_core.training.loss import make_loss
from nli_core.training.optimizer import build_optimizer, depth

Finetune = Callable[..., dict[str, Any]]
LABELS = ("a", "b", "c")
EVERYTHING = {
    "class_weights": "balanced",
    "label_smoothing": 0.1,
    "layer_decay": 0.8,
    "evaluate_every": 4,
    "ema": 0.9,
    "max_steps": 23,
    "checkpoint_every": 6,
    "log_every": 1,
}
CPU = torch.device("cpu")


def _bytes(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def _dev_steps(out: Path) -> list[int]:
    return [point.step for point in read_history(out) if "dev/loss" in point.metrics]


@pytest.mark.parametrize(
    "stops",
    [[4], [8, 12, 15], [23], *(pytest.param(stops, marks=pytest.mark.slow) for stops in ([3], [5, 6], [22]))],
)
def test_a_stopped_training_with_all_options_resumes_bit_for_bit(
    tmp_path: Path, run_finetune: Finetune, stopping_at: Callable[[int], TrainingCallbacks], stops: list[int]
) -> None:
    """Step 4 is before the first evaluation, 15 before an epoch's end, and 23 before the last one."""
    facts = run_finetune(tmp_path / "whole", **EVERYTHING)
    assert (facts["steps"], facts["epochs"]) == (23, pytest.approx(1 + 8 / 15, abs=1e-4))
    assert _dev_steps(tmp_path / "whole") == [4, 8, 12, 15, 16, 20, 23]
    for stop in stops:
        with pytest.raises(StoppedError, match=f"after step {stop} of 23"):
            run_finetune(tmp_path / "cut", callbacks=stopping_at(stop), **EVERYTHING)
    run_finetune(tmp_path / "cut", **EVERYTHING)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


def test_the_exported_model_is_the_best_of_all_evaluations(
    tmp_path: Path, run_finetune: Finetune, shards: Path
) -> None:
    facts = run_finetune(tmp_path / "out", evaluate_every=2, ema=0.8, learning_rate=5e-3, epochs=3)
    measured = [point for point in read_history(tmp_path / "out") if "dev/loss" in point.metrics]
    best = max(measured, key=lambda point: (point.metrics["dev/accuracy"], -point.step))
    assert best.step % 15, "a best one within an epoch is what this test is about"
    assert (facts["best_epoch"], facts["best_dev"]["dev/accuracy"]) == (
        best.metrics["epoch"],
        best.metrics["dev/accuracy"],
    )
    dev, device = ShardSet(shards, "dev"), choose_device("fp32")
    model = prepare_for_inference(load_classifier(tmp_path / "out" / MODEL), device)
    loss = functional.cross_entropy(predict_logits(model, dev.examples, device), torch.from_numpy(dev.targets))
    assert float(loss) == pytest.approx(best.metrics["dev/loss"], rel=1e-6)


def test_patience_counts_evaluations(tmp_path: Path, run_finetune: Finetune) -> None:
    fields = {"epochs": 50, "best_by": "loss", "patience": 3, "learning_rate": 0.05, "evaluate_every": 5}
    run_finetune(tmp_path / "out", **fields)
    losses = [point.metrics["dev/loss"] for point in read_history(tmp_path / "out") if "dev/loss" in point.metrics]
    assert losses.index(min(losses)) == len(losses) - 4
    assert len(losses) < 150


def test_the_schedule_ends_at_the_last_step(tmp_path: Path, run_finetune: Finetune) -> None:
    run_finetune(tmp_path / "out", max_steps=20, log_every=1, learning_rate=1e-3, warmup_fraction=0)
    rates = [
        point.metrics["train/learning_rate"]
        for point in read_history(tmp_path / "out")
        if "train/loss" in point.metrics
    ]
    assert rates == pytest.approx([1e-3 * (20 - step) / 20 for step in range(20)])
    assert run_finetune(tmp_path / "long", max_steps=99)["steps"] == 30


def test_the_average_of_weights_is_an_exponential_one() -> None:
    linear, decay = torch.nn.Linear(1, 1, bias=False), 0.6
    averaged, expected = AveragedWeights(linear, decay), linear.weight.item()
    for step in range(1, 12):
        with torch.no_grad():
            linear.weight.fill_(float(step * step))
        averaged.update(step)
        kept = min(decay, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * step * step
    with averaged.applied():
        assert linear.weight.item() == pytest.approx(expected)
    assert linear.weight.item() == 121


def test_without_a_decay_nothing_is_averaged() -> None:
    linear = torch.nn.Linear(1, 1)
    averaged = AveragedWeights(linear, None)
    averaged.update(1)
    assert averaged.tensors() == {}
    before = linear.weight.item()
    with averaged.applied():
        assert linear.weight.item() == before


def test_losses_are_weighted_and_smoothed() -> None:
    """The oracle is the definition, example by example; of balanced weights it is scikit-learn."""
    random = np.random.default_rng(0)
    label_ids = np.array([0] * 90 + [1] * 8 + [2] * 2)
    logits, labels = torch.from_numpy(random.normal(size=(100, 3))).float(), torch.from_numpy(label_ids)
    weights = compute_class_weight("balanced", classes=np.arange(3), y=label_ids)
    assert np.mean(weights[label_ids]) == pytest.approx(1)
    config = FinetuneConfig(class_weights="balanced")
    found = make_loss(config, LABELS, label_ids, CPU)(logits, labels)
    log_odds = torch.log_softmax(logits.double(), dim=1)
    each = -log_odds[torch.arange(100), labels]
    assert float(found) == pytest.approx(float((torch.from_numpy(weights)[labels] * each).sum()), rel=1e-5)
    smoothed = make_loss(FinetuneConfig(label_smoothing=0.2), LABELS, label_ids, CPU)(logits, labels)
    targets = functional.one_hot(labels, 3).double() * 0.8 + 0.2 / 3
    assert float(smoothed) == pytest.approx(float(-(targets * log_odds).sum()), rel=1e-5)


def test_rare_classes_are_found_more_often_with_balanced_weights(
    tmp_path: Path, run_finetune: Finetune, shards: Path
) -> None:
    """A heavy class draws predictions to it."""
    predicted = []
    for weights in ([1, 1, 1], [0.05, 20, 0.05]):
        run_finetune(tmp_path / str(weights), class_weights=weights, epochs=1)
        dev, device = ShardSet(shards, "dev"), choose_device("fp32")
        model = prepare_for_inference(load_classifier(tmp_path / str(weights) / MODEL), device)
        predicted.append(int((predict_logits(model, dev.examples, device).argmax(dim=1) == 1).sum()))
    assert predicted[1] == len(dev) > predicted[0]


def test_another_number_of_weights_than_labels_is_refused(tmp_path: Path, run_finetune: Finetune) -> None:
    with pytest.raises(
        UserError, match="2 weights for 3 labels; give one for each of entailment, contradiction, neutral, in this"
    ):
        run_finetune(tmp_path / "out", class_weights=[1, 2])


def test_rates_fall_from_layer_to_layer(tiny_encoder: Path) -> None:
    model = Classifier(load_encoder(tiny_encoder)[0], LABELS)
    optimizer = build_optimizer(model, 2, FinetuneConfig(layer_decay=0.5))
    names = {parameter: name for name, parameter in model.named_parameters()}
    scales = {names[parameter]: group["scale"] for group in optimizer.param_groups for parameter in group["params"]}
    assert scales.keys() == set(names.values())
    assert scales["head.weight"] == scales["encoder.pooler.bias"] == 1
    assert scales["encoder.layers.1.output.weight"] == scales["encoder.layers.1.output_norm.bias"] == 0.5
    assert scales["encoder.layers.0.query_key_value.weight"] == 0.25
    assert scales["encoder.embeddings.word.weight"] == scales["encoder.embeddings.norm.bias"] == 0.125


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("encoder.model.deberta.encoder.layer.10.output.dense.weight", 11),
        ("encoder.model.deberta.encoder.rel_embeddings.weight", 0),
        ("encoder.model.pooler.dense.weight", 13),
        ("encoder.final_norm.weight", 13),
        ("head.bias", 13),
    ],
)
def test_how_deep_a_parameter_is(name: str, expected: int) -> None:
    assert depth(name, 12) == expected


def test_fields_at_their_defaults_leave_keys_as_they_were() -> None:
    before = set(FinetuneConfig().result_fields())
    assert not before & EVERYTHING.keys() - {"log_every"}
    changed = FinetuneConfig(**EVERYTHING).result_fields()
    assert changed.keys() - before == EVERYTHING.keys() - {"log_every", "checkpoint_every"}
