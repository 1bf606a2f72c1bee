"""The encoder: BERT (Devlin et al., 2019) and its kin (see `architecture`), for padded batches.

Shapes: B batch, L length, H hidden size, N heads, D head size, P pooled size.

Attention is plain batched matrix products: on CPUs the backward pass of torch's fused attention costs more than all
matrix products of a small model together. BERT's classifier needs the first token alone, so its last layer computes
keys and values for every token but everything else for that token only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from nli_core.model.architecture import Activation, Architecture
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

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> Tensor:
        """Token ids and token-type ids [B, L] to embeddings [B, L, H]."""
        summed: Tensor = self.word(input_ids) + self.position.weight[: input_ids.shape[1]]
        if self.token_type is not None:
            summed = summed + self.token_type(token_type_ids)
        if self.norm is None:
            return summed
        return dropout(self.norm(summed), self.dropout_rate, training=self.training)


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

    def forward(self, hidden: Tensor, bias: Tensor | None, *, queries: int | None = None) -> Tensor:
        """Hidden states [B, L, H] to those of the next layer, for the first `queries` tokens or for all.

        `bias` [B, 1, 1, L] is added to the attention scores; -inf hides a position.
        """
        # Contiguous: over a slice torch's linear would copy the weights once an example.
        asking = hidden if queries is None else hidden[:, :queries].contiguous()
        query, key, value = self._project(asking, hidden)
        weights = dropout(_attention(query, key, bias), self.attention_dropout_rate, training=self.training)
        attended = self.attention_output(torch.matmul(weights, value).transpose(1, 2).flatten(2))
        middle = self.attention_norm(asking + self._dropped(attended))
        expanded = self.activation(self.inner(middle))
        normalised: Tensor = self.output_norm(middle + self._dropped(self.output(expanded)))
        return normalised

    def attention(self, hidden: Tensor, bias: Tensor | None) -> Tensor:
        """The attention weights [B, N, L, L] that `forward` uses, before dropout."""
        query, key, _ = self._project(hidden, hidden)
        return _attention(query, key, bias)

    def _project(self, asking: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of the asking tokens, keys and values of all: [B, N, L, D] each."""
        weight, offset, width = self.query_key_value.weight, self.query_key_value.bias, self.attention_size
        if asking is hidden:
            query, key, value = self.query_key_value(hidden).chunk(3, dim=-1)
        else:
            query = functional.linear(asking, weight[:width], offset[:width])
            key, value = functional.linear(hidden, weight[width:], offset[width:]).chunk(2, dim=-1)
        return self._by_head(query), self._by_head(key), self._by_head(value)

    def _by_head(self, states: Tensor) -> Tensor:
        """[B, L, N * D] to [B, N, L, D]."""
        return states.view(*states.shape[:-1], self.heads, -1).transpose(1, 2)

    def _dropped(self, states: Tensor) -> Tensor:
        return dropout(states, self.dropout_rate, training=self.training)


def _attention(query: Tensor, key: Tensor, bias: Tensor | None) -> Tensor:
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if bias is not None:
        scores = scores + bias
    return torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)


class Encoder(nn.Module):
    """Embeddings, layers, and the pooler: a linear layer and tanh over the first token, or ReLU over the average."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.embeddings = Embeddings(architecture)
        self.layers = nn.ModuleList(Layer(architecture) for _ in range(architecture.num_hidden_layers))
        self.pooler = nn.Linear(architecture.hidden_size, architecture.pooled_size)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states of the last layer [B, L, H] for token ids [B, L] of which `lengths` [B] count."""
        hidden, bias = self._embed(input_ids, token_type_ids, lengths)
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return hidden

    def pooled(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> Tensor:
        """What a classifier needs [B, P]: for BERT the same as `outputs().pooled`, without the unneeded rows."""
        if self.architecture.pools_average:
            return self._pool(self(input_ids, token_type_ids, lengths), lengths)
        hidden, bias = self._embed(input_ids, token_type_ids, lengths)
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, bias, queries=1 if index == len(self.layers) - 1 else None)
        return self._pool(hidden, lengths)

    def outputs(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> EncoderOutputs:
        """Every layer's output and attention weights too: for looking at, not for training."""
        hidden, bias = self._embed(input_ids, token_type_ids, lengths)
        layers, attentions = [], []
        for layer in self.layers:
            assert isinstance(layer, Layer)
            attentions.append(layer.attention(hidden, bias))
            hidden = layer(hidden, bias)
            layers.append(hidden)
        return EncoderOutputs(self._pool(hidden, lengths), hidden, tuple(layers), tuple(attentions))

    def _pool(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        if not self.architecture.pools_average:
            return torch.tanh(self.pooler(hidden[:, 0]))
        inside = _inside(hidden, lengths)[..., None]
        average = (hidden.float() * inside).sum(dim=1) / lengths[:, None]
        rate = self.architecture.hidden_dropout_prob
        return torch.relu(self.pooler(dropout(average, rate, training=self.training)))

    def _embed(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.embeddings(input_ids, token_type_ids)
        if torch.is_autocast_enabled(hidden.device.type):
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        outside = ~_inside(hidden, lengths)
        bias = torch.zeros(outside.shape, dtype=hidden.dtype, device=hidden.device).masked_fill(outside, float("-inf"))
        return hidden, bias[:, None, None, :]


def _inside(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Which of the positions of hidden states [B, L, H] count: [B, L]."""
    return torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
