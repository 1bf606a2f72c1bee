"""Batches that several threads compute, one each, are those of one thread that computes them all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import torch

from nli_core.callbacks import StoppedError
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.inference.logits import predict_logits
from nli_core.inference.prepare import prepare_for_inference
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device
from nli_core.model.weights import load_encoder


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Put back the number of threads that torch computes with."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model(tiny_encoder: Path) -> Classifier:
    torch.manual_seed(0)
    return Classifier(load_encoder(tiny_encoder)[0], ("yes", "no"))


def _examples(count: int) -> RaggedExamples:
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 60, (count,), generator=random)
    ids = torch.randint(5, 60, (int(lengths.sum()),), generator=random)
    return RaggedExamples(ids.numpy(), lengths.numpy(), (lengths // 2).numpy(), pad_id=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("count", [1, 50, 3000])
def test_threads_change_no_byte(model: Classifier, precision: Literal["fp32", "bf16"], count: int) -> None:
    device, found = Device(torch.device("cpu"), precision, "as configured"), []
    ready = prepare_for_inference(model, device)
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        found.append(predict_logits(ready, _examples(count), device))
        assert torch.get_num_threads() == threads
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_the_fault_of_a_thread_is_raised(model: Classifier) -> None:
    device = Device(torch.device("cpu"), "fp32", "as configured")
    torch.set_num_threads(2)
    model.head.weight = torch.nn.Parameter(torch.zeros(2, 3))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        predict_logits(model.eval(), _examples(3000), device)
    assert torch.get_num_threads() == 2


def test_a_stop_ends_the_threads(model: Classifier) -> None:
    device, done = Device(torch.device("cpu"), "fp32", "as configured"), list[int]()
    model.head.register_forward_hook(lambda *_: done.append(1))
    torch.set_num_threads(2)

    def stop(_done: int, _total: int) -> None:
        raise StoppedError("asked to")

    with pytest.raises(StoppedError, match="asked to"):
        predict_logits(model.eval(), _examples(20_000), device, stop)
    assert len(done) < 100  # of some 300 batches
