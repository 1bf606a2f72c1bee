"""Prepare a classifier for forward passes alone: cast its linear layers, and lay them out on a CPU, once.

Under autocast weights are cast at every batch, and a linear layer of bf16 on a CPU writes its bias before it
multiplies. oneDNN adds it, and applies the activation, on the way where the weights have its own layout.
"""

import copy
from functools import cached_property

import torch
from torch import Tensor, nn

from nli_core.model.architecture import Activation
from nli_core.model.classifier import Classifier
from nli_core.model.device import Device
from nli_core.model.encoder import EncoderLayer, LayeredEncoder
from nli_core.model.query_key_value import Projected, QueryKeyValue, by_head

_ACTIVATIONS: dict[Activation, tuple[str, str]] = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "relu": ("relu", ""),
    "tanh": ("tanh", ""),
}


class _LaidOutLinear(nn.Module):
    """A bf16 linear layer in oneDNN's layout, as torch's compiler makes them."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: tuple[str, str] = ("none", "")) -> None:
        """`activation` is oneDNN's name of what to apply to the outputs, and its algorithm."""
        super().__init__()
        self._activation, self._algorithm = activation
        self.bias = bias
        self._laid_out = torch.ops.mkldnn._reorder_linear_weight(weight, 0)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._laid_out, self.bias, self._activation, [], self._algorithm
        )
        return outputs


class _LaidOutQueryKeyValue(nn.Module):
    """A `QueryKeyValue` of bf16 in oneDNN's layout; its parts are laid out where first tokens ask alone."""

    def __init__(self, linear: QueryKeyValue) -> None:
        super().__init__()
        self._linear = linear

    @cached_property
    def _whole(self) -> _LaidOutLinear:
        return _LaidOutLinear(self._linear.weight, self._linear.bias)

    @cached_property
    def _parts(self) -> tuple[_LaidOutLinear, _LaidOutLinear]:
        of_query, of_others = self._linear.parts()
        return _LaidOutLinear(*of_query), _LaidOutLinear(*of_others)

    def project(self, hidden: Tensor) -> Projected:
        query, key, value = by_head(self._whole(hidden), 3, self._linear.heads)
        return query, key, value

    def project_first(self, first: Tensor, hidden: Tensor) -> Projected:
        for_query, for_others = self._parts
        (query,) = by_head(for_query(first), 1, self._linear.heads)
        key, value = by_head(for_others(hidden), 2, self._linear.heads)
        return query, key, value


def prepare_for_inference(model: Classifier, device: Device) -> Classifier:
    """Copy the model to the device, in eval mode, for use under `device.autocast()`.

    It shares the embeddings of a model on the same device, so that measuring a model in training is cheap.
    """
    model.eval()
    if not isinstance(model.encoder, LayeredEncoder):  # one of transformers, which is computed as it is
        return copy.deepcopy(model).to(device.torch)
    embeddings = model.encoder.embeddings
    ready = copy.deepcopy(model, {id(embeddings): embeddings}).to(device.torch)
    if device.precision == "bf16":
        lay_out = device.torch.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        assert isinstance(ready.encoder, LayeredEncoder)
        for layer in ready.encoder.layers:
            assert isinstance(layer, EncoderLayer)
            for name, part in list(layer.named_children()):
                if isinstance(part, nn.Linear):
                    cast = part.to(torch.bfloat16).requires_grad_(False)
                    setattr(layer, name, _laid_out(cast, layer, name) if lay_out else cast)
            if lay_out and layer.activated_linear:
                layer.activation = nn.Identity()
    return ready


def _laid_out(linear: nn.Linear, layer: EncoderLayer, name: str) -> nn.Module:
    if isinstance(linear, QueryKeyValue):
        return _LaidOutQueryKeyValue(linear)
    fused = _ACTIVATIONS[layer.hidden_act] if name == layer.activated_linear else ("none", "")
    return _LaidOutLinear(linear.weight, linear.bias, fused)
