"""What a training's manifest says of its model and its device."""

from typing import Any

import torch

from nli_core.model.classifier import Classifier
from nli_core.model.device import Device
from nli_core.model.dropout import applied_rate
from nli_core.model.weights import LoadReport


def model_facts(model: Classifier, device: Device, report: LoadReport) -> dict[str, Any]:
    """Return facts of the model, of what was loaded into it, and of the device that trains it."""
    parameters = list(model.parameters())
    architecture = model.encoder.architecture
    attention_rate = architecture.attention_probs_dropout_prob
    return {
        "device": str(device.torch),
        "precision": device.precision,
        "precision_reason": device.reason,
        "repeats": device.repeats,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "parameters": sum(parameter.numel() for parameter in parameters),
        "trainable_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "applied_dropout": applied_rate(architecture.hidden_dropout_prob, device.torch),
        "applied_attention_dropout": 0.0 if device.packs else applied_rate(attention_rate, device.torch),
        "unused_tensors": report.unused,
        "fresh_tensors": report.fresh,
    }
