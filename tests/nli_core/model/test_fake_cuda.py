"""The forward pass of packed batches on a GPU, with tensors that have shapes, types and devices but no numbers.

The backward pass needs a GPU.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from nli_core.model.classifier import Classifier
from nli_core.model.families.registry import build_encoder, read_architecture


@pytest.fixture
def bf16() -> Iterator[None]:
    """Makes weights in bf16: without a GPU, autocast for one does nothing."""
    torch.set_default_dtype(torch.bfloat16)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.skipif(torch.version.cuda is None, reason="this torch has no CUDA build")
@pytest.mark.usefixtures("bf16")
def test_shapes_types_and_devices_agree(tiny_encoder: Path) -> None:
    architecture = read_architecture(tiny_encoder)
    with FakeTensorMode(), torch.device("cuda"):
        model = Classifier(build_encoder(architecture), ("yes", "no"))
        ids, types = (torch.zeros(1024, dtype=torch.int64) for _ in range(2))
        logits = model(ids, types, torch.ones(64, dtype=torch.int64), 64)
    assert logits.shape == (64, 2)
    assert logits.device.type == "cuda"
    assert logits.dtype == torch.bfloat16
