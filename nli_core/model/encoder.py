"""What every encoder does, and how those of our own do it: embeddings, layers, and a pooler for a classifier.

Shapes: B batch, L length, T tokens, H hidden size, N heads, P pooled size; `...` is [B, L] padded or [T] packed (see
`attention`).

Where a classifier needs the first token alone, the last layer computes keys and values for every token but everything
else for that token only.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nli_core.model.architecture import Activation, Architecture, Pooling
from nli_core.model.attention import Layout, Packed, Padded

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class EncoderOutputs:
    """All that an encoder computes on the way.

    pooled: [B, P]; sequence: [B, L, H], the last layer's output; layers: each layer's output [B, L, H], the first
    layer's first; attentions: each layer's attention weights [B, N, L, L], from token to token, rows sum to 1.
    """

    pooled: Tensor
    sequence: Tensor
    layers: tuple[Tensor, ...]
    attentions: tuple[Tensor, ...]


class EncoderLayer(nn.Module, ABC):
    """One transformer block."""

    activated_linear: ClassVar[str | None] = None
    """The linear layer that the activation follows directly, if any: prepared for inference they are one."""

    def __init__(self, hidden_act: Activation) -> None:
        super().__init__()
        self.hidden_act = hidden_act
        self.activation = ACTIVATIONS[hidden_act]

    @abstractmethod
    def forward(self, hidden: Tensor, layout: Layout, *, first_only: bool = False) -> Tensor:
        """Compute the next layer's hidden states [..., H], or those of the first tokens alone [B, H]."""

    @abstractmethod
    def attention(self, hidden: Tensor, layout: Padded) -> Tensor:
        """Compute the attention weights [B, N, L, L] that `forward` uses, before dropout."""


class Encoder(nn.Module, ABC):
    """Tokens to hidden states, and to what a classifier sees.

    Token ids are [B, L], of which `lengths` [B] count, or packed [T]. `longest` is a bound on packed lengths, which
    spares the wait for the device that has them.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture

    @abstractmethod
    def forward(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None = None) -> Tensor:
        """Compute the last hidden states [..., H]."""

    @abstractmethod
    def pooled(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None = None) -> Tensor:
        """Compute what a classifier needs [B, P]."""

    @abstractmethod
    def outputs(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> EncoderOutputs:
        """Compute every layer's output and attention weights of a padded batch, to look at and not to train."""


class LayeredEncoder(Encoder):
    """An encoder of our own: embeddings, layers and a pooler, which a subclass makes."""

    embeddings: nn.Module
    layers: nn.ModuleList
    pooler: nn.Module
    pools: Pooling

    def finish(self, hidden: Tensor) -> Tensor:
        """Compute what follows the last layer: nothing, unless a subclass says otherwise."""
        return hidden

    @abstractmethod
    def pool(self, summary: Tensor) -> Tensor:
        """Pool the first token or the average [B, H] for the head: [B, P]."""

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None = None) -> Tensor:
        hidden, layout = self._embed(input_ids, token_type_ids, lengths, longest)
        for layer in self.layers:
            hidden = layer(hidden, layout)
        return self.finish(hidden)

    def pooled(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None = None) -> Tensor:
        hidden, layout = self._embed(input_ids, token_type_ids, lengths, longest)
        averages, last = self.pools == "average", len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, layout, first_only=index == last and not averages)
        hidden = self.finish(hidden)
        return self.pool(layout.average(hidden) if averages else hidden)

    def outputs(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> EncoderOutputs:
        hidden, layout = self._embed(input_ids, token_type_ids, lengths, None)
        assert isinstance(layout, Padded)
        layers, attentions = [], []
        for layer in self.layers:
            assert isinstance(layer, EncoderLayer)
            attentions.append(layer.attention(hidden, layout))
            hidden = layer(hidden, layout)
            layers.append(hidden)
        hidden = self.finish(hidden)
        summary = layout.average(hidden) if self.pools == "average" else layout.first(hidden)
        return EncoderOutputs(self.pool(summary), hidden, tuple(layers), tuple(attentions))

    def _embed(
        self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None
    ) -> tuple[Tensor, Layout]:
        lower = torch.is_autocast_enabled(input_ids.device.type)
        own = next(self.embeddings.parameters()).dtype
        dtype = torch.get_autocast_dtype(input_ids.device.type) if lower else own
        layout: Layout
        if input_ids.ndim == 1:
            layout = Packed(lengths, len(input_ids), longest)
        else:
            layout = Padded(lengths, input_ids.shape[1], dtype)
        return self.embeddings(input_ids, token_type_ids, layout).to(dtype), layout
