"""The BERT encoder (Devlin et al., 2019), for padded batches.

Shapes: B batch, L length, H hidden size, N heads, D = H / N.

Attention is plain batched matrix products: on CPUs the backward pass of torch's fused attention costs more than all
matrix products of a small model together. The classifier needs the first token alone, so its last layer computes keys
and values for every token but everything else for that token only.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from nli_core.model.architecture import Activation, BertArchitecture
from nli_core.model.dropout import dropout

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
}


class Embeddings(nn.Module):
    """Sum of token, position and token-type embeddings, normalised."""

    def __init__(self, architecture: BertArchitecture) -> None:
        super().__init__()
        hidden = architecture.hidden_size
        self.word = nn.Embedding(architecture.vocab_size, hidden)
        self.position = nn.Embedding(architecture.max_position_embeddings, hidden)
        self.token_type = nn.Embedding(architecture.type_vocab_size, hidden)
        self.norm = nn.LayerNorm(hidden, eps=architecture.layer_norm_eps)
        self.dropout_rate = architecture.hidden_dropout_prob

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> Tensor:
        """Token ids and token-type ids [B, L] to embeddings [B, L, H]."""
        positions = self.position.weight[: input_ids.shape[1]]
        summed = self.word(input_ids) + positions + self.token_type(token_type_ids)
        normalised: Tensor = self.norm(summed)
        return dropout(normalised, self.dropout_rate, training=self.training)


class Layer(nn.Module):
    """One transformer block: self-attention and a feed-forward network, each followed by a norm of the sum."""

    def __init__(self, architecture: BertArchitecture) -> None:
        super().__init__()
        hidden, inner = architecture.hidden_size, architecture.intermediate_size
        self.heads = architecture.num_attention_heads
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.attention_output = nn.Linear(hidden, hidden)
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
        asking = hidden if queries is None else hidden[:, :queries]
        attended = self.attention_output(self._attend(asking, hidden, bias))
        middle = self.attention_norm(asking + self._dropped(attended))
        expanded = self.activation(self.inner(middle))
        normalised: Tensor = self.output_norm(middle + self._dropped(self.output(expanded)))
        return normalised

    def _attend(self, asking: Tensor, hidden: Tensor, bias: Tensor | None) -> Tensor:
        weight, offset, width = self.query_key_value.weight, self.query_key_value.bias, hidden.shape[-1]
        if asking is hidden:
            query, key, value = self.query_key_value(hidden).chunk(3, dim=-1)
        else:
            query = functional.linear(asking, weight[:width], offset[:width])
            key, value = functional.linear(hidden, weight[width:], offset[width:]).chunk(2, dim=-1)
        query, key, value = self._by_head(query), self._by_head(key), self._by_head(value)
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
        if bias is not None:
            scores = scores + bias
        weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
        weights = dropout(weights, self.attention_dropout_rate, training=self.training)
        return torch.matmul(weights, value).transpose(1, 2).flatten(2)

    def _by_head(self, states: Tensor) -> Tensor:
        """[B, L, H] to [B, N, L, D]."""
        return states.view(*states.shape[:-1], self.heads, -1).transpose(1, 2)

    def _dropped(self, states: Tensor) -> Tensor:
        return dropout(states, self.dropout_rate, training=self.training)


class Bert(nn.Module):
    """Embeddings, layers, and the pooler (Linear and tanh) over the first token."""

    def __init__(self, architecture: BertArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.embeddings = Embeddings(architecture)
        self.layers = nn.ModuleList(Layer(architecture) for _ in range(architecture.num_hidden_layers))
        self.pooler = nn.Linear(architecture.hidden_size, architecture.hidden_size)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states of the last layer [B, L, H] for token ids [B, L] of which `lengths` [B] count."""
        hidden, bias = self._embed(input_ids, token_type_ids, lengths)
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return hidden

    def pooled(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> Tensor:
        """The pooled first token [B, H]: what `forward` and the pooler give, without the unneeded rows."""
        hidden, bias = self._embed(input_ids, token_type_ids, lengths)
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, bias, queries=1 if index == len(self.layers) - 1 else None)
        return torch.tanh(self.pooler(hidden[:, 0]))

    def _embed(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        hidden = self.embeddings(input_ids, token_type_ids)
        if torch.is_autocast_enabled(hidden.device.type):
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        padded = positions >= lengths[:, None]
        bias = torch.zeros(padded.shape, dtype=hidden.dtype, device=hidden.device).masked_fill(padded, float("-inf"))
        return hidden, bias[:, None, None, :]
