"""A classifier made ready for forward passes alone: its linear layers are cast, and on a CPU laid out, once.

Under autocast weights are cast at every batch, and a linear layer of bf16 on a CPU writes its bias before it
multiplies. oneDNN adds it on the way where the weights have its own layout; the numbers are the same.
"""

import copy

import torch
from torch import Tensor, nn

from nli_core.model.classifier import Classifier
from nli_core.model.device import Device


class _LaidOutLinear(nn.Module):
    """A bf16 linear layer in oneDNN's layout, as torch's compiler makes them; `weight` serves who needs a part."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight
        self.bias = linear.bias
        self._laid_out = torch.ops.mkldnn._reorder_linear_weight(linear.weight, 0)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self._laid_out, self.bias, "none", [], "")
        return outputs


def ready_to_predict(model: Classifier, device: Device) -> Classifier:
    """A copy of the model on the device, in eval mode, for use under `device.autocast()`.

    It shares the embeddings of a model that is there already, so that a model in training can be measured cheaply.
    """
    model.eval()
    embeddings = model.encoder.embeddings
    ready = copy.deepcopy(model, {id(embeddings): embeddings}).to(device.torch)
    if device.precision == "bf16":
        lay_out = device.torch.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        for layer in ready.encoder.layers:
            for name, part in list(layer.named_children()):
                if isinstance(part, nn.Linear):
                    cast = part.to(torch.bfloat16).requires_grad_(False)
                    setattr(layer, name, _LaidOutLinear(cast) if lay_out else cast)
    return ready
