"""The encoder: BERT (Devlin et al., 2019) and its kin (see `architecture`), for padded and for packed batches.

Shapes: B batch, L length, T tokens, H hidden size, N heads, P pooled size; `...` is [B, L] padded or [T] packed (see
`attention`).

BERT's classifier needs the first token alone, so its last layer computes keys and values for every token but everything
else for that token only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from nli_core.model.architecture import Activation, Architecture
from nli_core.model.attention import Layout, Packed, Padded
from nli_core.model.dropout import dropout

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
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


class Embeddings(nn.Module):
    """Sum of token, position and token-type embeddings; normalised and dropped out where the family does so."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        hidden = architecture.hidden_size
        self.word = nn.Embedding(architecture.vocab_size, hidden)
        self.position = nn.Embedding(architecture.max_position_embeddings, hidden)
        types = architecture.type_vocab_size
        self.token_type = nn.Embedding(types, hidden) if types else None
        eps = architecture.layer_norm_eps
        self.norm = nn.LayerNorm(hidden, eps=eps) if architecture.normalises_embeddings else None
        self.dropout_rate = architecture.hidden_dropout_prob

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, layout: Layout) -> Tensor:
        """Embed token ids and token-type ids [...] to [..., H]."""
        summed: Tensor = self.word(input_ids) + layout.rows_of_positions(self.position.weight)
        if self.token_type is not None:
            summed = summed + self.token_type(token_type_ids)
        if self.norm is None:
            return summed
        return dropout(self.norm(summed), self.dropout_rate if self.training else 0.0)


class Layer(nn.Module):
    """One transformer block: self-attention and a feed-forward network, each followed by a norm of the sum."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        hidden, inner = architecture.hidden_size, architecture.intermediate_size
        self.heads = architecture.num_attention_heads
        self.attention_size = self.heads * architecture.head_size
        self.query_key_value = nn.Linear(hidden, 3 * self.attention_size)
        self.attention_output = nn.Linear(self.attention_size, hidden)
        self.attention_norm = nn.LayerNorm(hidden, eps=architecture.layer_norm_eps)
        self.inner = nn.Linear(hidden, inner)
        self.output = nn.Linear(inner, hidden)
        self.output_norm = nn.LayerNorm(hidden, eps=architecture.layer_norm_eps)
        self.activation = _ACTIVATIONS[architecture.hidden_act]
        self.dropout_rate = architecture.hidden_dropout_prob
        self.attention_dropout_rate = architecture.attention_probs_dropout_prob

    def forward(self, hidden: Tensor, layout: Layout, *, first_only: bool = False) -> Tensor:
        """Compute the next layer's hidden states [..., H], or those of the first tokens alone [B, H]."""
        asking = layout.first(hidden) if first_only else hidden
        query, key, value = self._project(asking, hidden)
        rate = self.attention_dropout_rate if self.training else 0.0
        attended = self.attention_output(layout.attend(query, key, value, heads=self.heads, rate=rate))
        middle = self.attention_norm(asking + self._dropped(attended))
        expanded = self.activation(self.inner(middle))
        normalised: Tensor = self.output_norm(middle + self._dropped(self.output(expanded)))
        return normalised

    def attention(self, hidden: Tensor, layout: Padded) -> Tensor:
        """Compute the attention weights [B, N, L, L] that `forward` uses, before dropout."""
        query, key, _ = self._project(hidden, hidden)
        return layout.weights(query, key, heads=self.heads)

    def _project(self, asking: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project the queries of the asking tokens, and keys and values of all: [..., A] each."""
        if asking is hidden:
            query, key, value = self.query_key_value(hidden).chunk(3, dim=-1)
            return query, key, value
        weight, offset, width = self.query_key_value.weight, self.query_key_value.bias, self.attention_size
        query = functional.linear(asking, weight[:width], offset[:width])
        key, value = functional.linear(hidden, weight[width:], offset[width:]).chunk(2, dim=-1)
        return query, key, value

    def _dropped(self, states: Tensor) -> Tensor:
        return dropout(states, self.dropout_rate if self.training else 0.0)


class Encoder(nn.Module):
    """Embeddings, layers, and the pooler: a linear layer and tanh over the first token, or ReLU over the average."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.embeddings = Embeddings(architecture)
        self.layers = nn.ModuleList(Layer(architecture) for _ in range(architecture.num_hidden_layers))
        self.pooler = nn.Linear(architecture.hidden_size, architecture.pooled_size)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None = None) -> Tensor:
        """Compute the last layer's hidden states [..., H] for token ids [B, L], of which `lengths` [B] count, or [T].

        `longest` is a bound on packed lengths, which spares the wait for the device that has them.
        """
        hidden, layout = self._embed(input_ids, token_type_ids, lengths, longest)
        for layer in self.layers:
            hidden = layer(hidden, layout)
        return hidden

    def pooled(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None = None) -> Tensor:
        """Compute what a classifier needs [B, P]: for BERT, `outputs().pooled` without the unneeded rows."""
        hidden, layout = self._embed(input_ids, token_type_ids, lengths, longest)
        averages, last = self.architecture.pools_average, len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, layout, first_only=index == last and not averages)
        return self._pool(layout.average(hidden) if averages else hidden)

    def outputs(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> EncoderOutputs:
        """Compute every layer's output and attention weights of a padded batch, to look at and not to train."""
        hidden, layout = self._embed(input_ids, token_type_ids, lengths, None)
        assert isinstance(layout, Padded)
        layers, attentions = [], []
        for layer in self.layers:
            assert isinstance(layer, Layer)
            attentions.append(layer.attention(hidden, layout))
            hidden = layer(hidden, layout)
            layers.append(hidden)
        summary = layout.average(hidden) if self.architecture.pools_average else layout.first(hidden)
        return EncoderOutputs(self._pool(summary), hidden, tuple(layers), tuple(attentions))

    def _pool(self, summary: Tensor) -> Tensor:
        """Pool the first token or the average [B, H] for the head."""
        if not self.architecture.pools_average:
            return torch.tanh(self.pooler(summary))
        rate = self.architecture.hidden_dropout_prob if self.training else 0.0
        return torch.relu(self.pooler(dropout(summary, rate)))

    def _embed(
        self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, longest: int | None
    ) -> tuple[Tensor, Layout]:
        lower = torch.is_autocast_enabled(input_ids.device.type)
        dtype = torch.get_autocast_dtype(input_ids.device.type) if lower else self.pooler.weight.dtype
        layout: Layout
        if input_ids.ndim == 1:
            layout = Packed(lengths, len(input_ids), longest)
        else:
            layout = Padded(lengths, input_ids.shape[1], dtype)
        return self.embeddings(input_ids, token_type_ids, layout).to(dtype), layout
