"""The oracle is the model as it is, under autocast."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch

from nli_core.data.examples.ragged import RaggedExamples
from nli_core.inference.logits import pool_examples, predict_logits
from nli_core.inference.prepare import prepare_for_inference
from nli_core.model.architecture import Activation
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device
from nli_core.model.families.registry import build_encoder
from nli_core.model.weights import load_encoder

LABELS = ("entailment", "contradiction", "neutral")


@pytest.fixture(params=get_args(Activation))
def model(tiny_encoder: Path, request: pytest.FixtureRequest) -> Classifier:
    """The tiny encoder's weights under every activation."""
    encoder = load_encoder(tiny_encoder)[0]
    other = build_encoder(replace(encoder.architecture, hidden_act=request.param))
    other.load_state_dict(encoder.state_dict())
    return Classifier(other, LABELS, head_dropout=0.1)


@pytest.fixture
def examples(model: Classifier) -> RaggedExamples:
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 40, (300,), generator=random)
    ids = torch.randint(5, model.encoder.architecture.vocab_size, (int(lengths.sum()),), generator=random)
    return RaggedExamples(ids.numpy(), lengths.numpy(), (lengths // 2).numpy(), pad_id=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_predictions_are_those_of_the_model_itself(model: Classifier, examples: RaggedExamples, precision: str) -> None:
    device = Device(torch.device("cpu"), precision, "as configured")
    ready = prepare_for_inference(model, device)
    logits = predict_logits(ready, examples, device)
    pooled = pool_examples(ready, examples, device, lambda _done, _total: None)
    model.eval()
    for place in range(0, len(examples), 7):
        batch = examples.batch(torch.tensor([place]).numpy())
        with torch.inference_mode(), device.autocast():
            expected = model.encoder.pooled(batch.input_ids, batch.token_type_ids, batch.lengths)
            answer = model.classify(expected)
        # Sums in another order end in another of the 8 bits of a bf16.
        tolerance = 1e-6 if precision == "fp32" else 2e-2
        torch.testing.assert_close(pooled[place], expected[0].float(), atol=tolerance, rtol=0)
        torch.testing.assert_close(logits[place], answer[0].float(), atol=tolerance, rtol=0)


def test_the_model_itself_stays_as_it_was(model: Classifier, examples: RaggedExamples) -> None:
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    device = Device(torch.device("cpu"), "bf16", "as configured")
    predict_logits(prepare_for_inference(model, device), examples, device)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, before[name])
