"""What must hold on a GPU. The oracle is the padded batch in fp32, or the CPU.

Flash attention adds up gradients in no fixed order, so trainings are equal but for rounding.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.data.examples.shards import ShardSet
from nli_core.data.loading.loader import make_loader
from nli_core.errors import UserError
from nli_core.filenames import MODEL
from nli_core.inference.logits import predict_logits
from nli_core.inference.prepare import prepare_for_inference
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device, choose_device
from nli_core.model.weights import load_encoder
from nli_core.training import trainer

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")]

Finetune = Callable[..., dict[str, Any]]
CPU = Device(torch.device("cpu"), "fp32", "the oracle")
ROUNDING = {"atol": 0.05, "rtol": 0.05}  # of bf16 through all layers


@pytest.fixture
def gpu() -> Device:
    return choose_device("bf16")


@pytest.fixture
def train(shards: Path) -> ShardSet:
    return ShardSet(shards, "train")


def _model(encoder: Path, train: ShardSet) -> Classifier:
    torch.manual_seed(0)
    return Classifier(load_encoder(encoder)[0], train.labels)


def _gradients(model: Classifier, train: ShardSet, device: Device) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits of a batch, and the gradients of their loss, without dropout."""
    model.to(device.torch).eval()
    examples = np.arange(32)
    loader = make_loader(train.examples, device.torch, packed=device.packs)
    batch = loader.batch(examples)
    with device.autocast():
        logits = model(batch.input_ids, batch.token_type_ids, batch.lengths, loader.longest)[:32].float()
    targets = torch.from_numpy(train.targets[:32]).to(device.torch)
    torch.autograd.backward(torch.nn.functional.cross_entropy(logits, targets))
    gradients = {name: part.grad.cpu() for name, part in model.named_parameters() if part.grad is not None}
    return logits.detach().cpu(), gradients


def test_packed_batches_have_the_gradients_of_padded_ones(tiny_encoder: Path, train: ShardSet, gpu: Device) -> None:
    (logits, gradients), (expected, others) = (
        _gradients(_model(tiny_encoder, train), train, device) for device in (gpu, CPU)
    )
    torch.testing.assert_close(logits, expected, **ROUNDING)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[name], **ROUNDING)


def test_predictions_are_those_of_the_cpu(tiny_encoder: Path, train: ShardSet, gpu: Device) -> None:
    model = _model(tiny_encoder, train)
    expected, found = (
        predict_logits(prepare_for_inference(model, device), train.examples, device) for device in (CPU, gpu)
    )
    torch.testing.assert_close(found, expected, **ROUNDING)


def test_a_seed_decides_the_weights_but_for_rounding(tmp_path: Path, run_finetune: Finetune) -> None:
    for name in ("one", "two"):
        run_finetune(tmp_path / name, precision="bf16")
    _assert_close_weights(tmp_path / "one", tmp_path / "two")


def test_an_interrupted_training_ends_in_the_weights_of_a_whole_one(
    tmp_path: Path, run_finetune: Finetune, stopping_at: Callable[[int], TrainingCallbacks]
) -> None:
    run_finetune(tmp_path / "whole", precision="bf16")
    with pytest.raises(StoppedError):
        run_finetune(tmp_path / "cut", precision="bf16", callbacks=stopping_at(8))
    run_finetune(tmp_path / "cut", precision="bf16")
    _assert_close_weights(tmp_path / "cut", tmp_path / "whole")


def test_a_training_by_graphs_is_that_without(
    tmp_path: Path, run_finetune: Finetune, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_finetune(tmp_path / "graphs", precision="bf16")
    assert not [record for record in caplog.records if "CUDA graphs" in record.getMessage()]
    monkeypatch.setattr(trainer, "cuda_capture", lambda _device: None)
    run_finetune(tmp_path / "plain", precision="bf16")
    _assert_close_weights(tmp_path / "graphs", tmp_path / "plain")


def test_a_deterministic_training_repeats_every_byte(tmp_path: Path, run_finetune: Finetune) -> None:
    for name in ("one", "two"):
        facts = run_finetune(tmp_path / name, precision="bf16", deterministic="always")
        assert facts["repeats"] == "every byte"
    one, two = ((tmp_path / name / MODEL / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_nan_is_named(tmp_path: Path, run_finetune: Finetune, overflowing_encoder: Path) -> None:
    with pytest.raises(UserError, match=r"the loss became nan in step 1, whose batch has the train rows"):
        run_finetune(tmp_path, precision="bf16", encoder=overflowing_encoder)


def test_a_batch_that_does_not_fit_is_named(tmp_path: Path, run_finetune: Finetune) -> None:
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**21) / total)
    try:
        with pytest.raises(UserError, match=r"no memory is left for .* micro_batch_size"):
            run_finetune(tmp_path, precision="bf16", batch_size=240)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _assert_close_weights(one: Path, other: Path) -> None:
    first, second = (load_file(folder / MODEL / "model.safetensors") for folder in (one, other))
    for name, weights in first.items():
        torch.testing.assert_close(weights, second[name], atol=5e-3, rtol=0.05)
