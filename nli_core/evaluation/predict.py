"""What a classifier computes for many examples, in their order."""

from collections.abc import Callable

import torch
from torch import Tensor

from nli_core.data.batches import evaluation_batches
from nli_core.data.ragged import RaggedExamples
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device

_Forward = Callable[[Tensor, Tensor, Tensor], Tensor]
Report = Callable[[int, int], object]  # examples done, of how many


def predict_logits(model: Classifier, examples: RaggedExamples, batch_size: int, device: Device) -> Tensor:
    """Logits [examples, labels] in fp32 on the CPU. Leaves the model in eval mode."""
    model.eval()
    return _compute(model, len(model.labels), examples, batch_size, device, lambda _done, _total: None)


def pool_examples(
    model: Classifier, examples: RaggedExamples, batch_size: int, device: Device, report: Report
) -> Tensor:
    """What the encoder pools [examples, pooled size], in fp32 on the CPU. Leaves the model in eval mode."""
    model.eval()
    encoder = model.encoder
    return _compute(encoder.pooled, encoder.architecture.pooled_size, examples, batch_size, device, report)


def _compute(
    forward: _Forward, width: int, examples: RaggedExamples, batch_size: int, device: Device, report: Report
) -> Tensor:
    computed, done = torch.empty(len(examples), width), 0
    with torch.inference_mode(), device.autocast():
        for places in evaluation_batches(examples.lengths, batch_size):
            batch = examples.batch(places).to(device.torch)
            rows = forward(batch.input_ids, batch.token_type_ids, batch.lengths)
            computed[torch.from_numpy(places)] = rows.float().cpu()
            done += len(places)
            report(done, len(examples))
    return computed
