"""The forward pass of packed batches on a GPU, with tensors that have shapes, types and devices but no numbers."""

from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from nli_core.model.classifier import Classifier
from nli_core.model.families.registry import build_encoder, read_architecture


@pytest.mark.skipif(torch.version.cuda is None, reason="this torch has no CUDA build")
def test_shapes_types_and_devices_agree(tiny_encoder: Path) -> None:
    architecture = read_architecture(tiny_encoder)
    with FakeTensorMode():
        model = Classifier(build_encoder(architecture), ("yes", "no")).to("cuda", torch.bfloat16)
        ids, types = (torch.zeros(1024, dtype=torch.int64, device="cuda") for _ in range(2))
        lengths = torch.ones(64, dtype=torch.int64, device="cuda")
        logits = model(ids, types, lengths, 64)
    assert logits.shape == (64, 2)
    assert logits.device.type == "cuda"
    assert logits.dtype == torch.bfloat16
