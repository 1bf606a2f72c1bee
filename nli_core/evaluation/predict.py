"""Logits of a classifier for many examples."""

import torch
from torch import Tensor

from nli_core.data.batches import evaluation_batches
from nli_core.data.ragged import RaggedExamples
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device


def predict_logits(model: Classifier, examples: RaggedExamples, batch_size: int, device: Device) -> Tensor:
    """Logits [examples, labels] in fp32 on the CPU, in the order of the examples. Leaves the model in eval mode."""
    model.eval()
    logits = torch.empty(len(examples), len(model.labels))
    with torch.inference_mode(), device.autocast():
        for places in evaluation_batches(examples.lengths, batch_size):
            batch = examples.batch(places).to(device.torch)
            computed = model(batch.input_ids, batch.token_type_ids, batch.lengths)
            logits[torch.from_numpy(places)] = computed.float().cpu()
    return logits
