"""On a CPU two replicas are two threads: their sum is what one computes."""

from pathlib import Path
from typing import Literal

import pytest
import torch

from nli_core.callbacks import StoppedError
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.inference.replicas import Replicas
from nli_core.model.classifier import Classifier
from nli_core.model.device import choose_device
from nli_core.model.weights import load_encoder


@pytest.fixture
def model(tiny_encoder: Path) -> Classifier:
    torch.manual_seed(0)
    return Classifier(load_encoder(tiny_encoder)[0], ("yes", "no"))


@pytest.fixture
def examples() -> RaggedExamples:
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 100, (700,), generator=random)
    ids = torch.randint(5, 60, (int(lengths.sum()),), generator=random)
    return RaggedExamples(ids.numpy(), lengths.numpy(), (lengths // 2).numpy(), pad_id=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("count", [2, 3, 50])
def test_replicas_compute_the_bytes_of_one(
    model: Classifier, examples: RaggedExamples, precision: Literal["fp32", "bf16"], count: int
) -> None:
    device = choose_device(precision)
    one, several = (Replicas(model, [device] * number) for number in (1, count))
    assert torch.equal(several.logits(examples), one.logits(examples))


def test_a_stop_ends_all_replicas(model: Classifier, examples: RaggedExamples) -> None:
    def stop(_done: int, _total: int) -> None:
        raise StoppedError("asked to")

    with pytest.raises(StoppedError, match="asked to"):
        Replicas(model, [choose_device("fp32")] * 2).logits(examples, stop)


def test_a_fault_of_one_replica_is_raised(model: Classifier, examples: RaggedExamples) -> None:
    replicas = Replicas(model, [choose_device("fp32")] * 2)
    replicas._prepared[1].head.weight = torch.nn.Parameter(torch.zeros(2, 3))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        replicas.logits(examples)
