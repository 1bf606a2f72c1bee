"""The encoder of BERT (Devlin et al., 2019) and of its kin: a norm follows each sum, positions are learned.

Shapes: as in `encoder`.
"""

from torch import Tensor, nn

from nli_core.model.architecture import PostNormArchitecture
from nli_core.model.attention import Layout, Padded
from nli_core.model.dropout import dropout
from nli_core.model.encoder import ACTIVATIONS, EncoderLayer, LayeredEncoder
from nli_core.model.query_key_value import QueryKeyValue


class Embeddings(nn.Module):
    """Sum of token, position and token-type embeddings; normalised and dropped out where the family does so."""

    def __init__(self, architecture: PostNormArchitecture) -> None:
        super().__init__()
        width, hidden = architecture.embedding_size, architecture.hidden_size
        self.padding_id = architecture.padding_id
        unused = 0 if self.padding_id is None else self.padding_id + 1
        self.tells_texts_apart = architecture.tells_texts_apart
        self.word = nn.Embedding(architecture.vocab_size, width)
        self.position = nn.Embedding(architecture.max_position_embeddings + unused, width)
        types = architecture.type_vocab_size
        self.token_type = nn.Embedding(types, width) if types else None
        eps = architecture.layer_norm_eps
        self.norm = nn.LayerNorm(width, eps=eps) if architecture.normalises_embeddings else None
        self.dropout_rate = architecture.hidden_dropout_prob
        self.projection = None if width == hidden else nn.Linear(width, hidden)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, layout: Layout) -> Tensor:
        """Embed token ids and token-type ids [...] to [..., H]."""
        summed: Tensor = self.word(input_ids) + self._positions(input_ids, layout)
        if self.token_type is not None:
            of_type = self.token_type(token_type_ids) if self.tells_texts_apart else self.token_type.weight[0]
            summed = summed + of_type
        if self.norm is not None:
            summed = dropout(self.norm(summed), self.dropout_rate if self.training else 0.0)
        return summed if self.projection is None else self.projection(summed)

    def _positions(self, input_ids: Tensor, layout: Layout) -> Tensor:
        if self.padding_id is None:
            return layout.rows_of_positions(self.position.weight)
        counts = input_ids != self.padding_id  # the padding's own token may be in a text
        rows: Tensor = self.position(layout.running_count(counts) * counts + self.padding_id)
        return rows


class PostNormLayer(EncoderLayer):
    """Self-attention and a feed-forward network, each followed by a norm of the sum."""

    activated_linear = "inner"

    def __init__(self, architecture: PostNormArchitecture) -> None:
        super().__init__(architecture.hidden_act)
        hidden, inner = architecture.hidden_size, architecture.intermediate_size
        self.query_key_value = QueryKeyValue(hidden, architecture.num_attention_heads, architecture.head_size)
        self.attention_output = nn.Linear(architecture.num_attention_heads * architecture.head_size, hidden)
        self.attention_norm = nn.LayerNorm(hidden, eps=architecture.layer_norm_eps)
        self.inner = nn.Linear(hidden, inner)
        self.output = nn.Linear(inner, hidden)
        self.output_norm = nn.LayerNorm(hidden, eps=architecture.layer_norm_eps)
        self.dropout_rate = architecture.hidden_dropout_prob
        self.attention_dropout_rate = architecture.attention_probs_dropout_prob

    def forward(self, hidden: Tensor, layout: Layout, *, first_only: bool = False) -> Tensor:
        """Compute the next layer's hidden states [..., H], or those of the first tokens alone [B, H]."""
        asking = layout.first(hidden) if first_only else hidden
        projection = self.query_key_value
        query, key, value = projection.project_first(asking, hidden) if first_only else projection.project(hidden)
        rate = self.attention_dropout_rate if self.training else 0.0
        attended = self.attention_output(layout.attend(query, key, value, rate=rate))
        middle = self.attention_norm(asking + self._dropped(attended))
        expanded = self.activation(self.inner(middle))
        normalised: Tensor = self.output_norm(middle + self._dropped(self.output(expanded)))
        return normalised

    def attention(self, hidden: Tensor, layout: Padded) -> Tensor:
        """Compute the attention weights [B, N, L, L] that `forward` uses, before dropout."""
        query, key, _ = self.query_key_value.project(hidden)
        return layout.weights(query, key)

    def _dropped(self, states: Tensor) -> Tensor:
        return dropout(states, self.dropout_rate if self.training else 0.0)


class PostNormEncoder(LayeredEncoder):
    """Embeddings, post-norm layers, and the pooler: a linear layer and an activation."""

    pooler: nn.Linear

    def __init__(self, architecture: PostNormArchitecture) -> None:
        super().__init__(architecture)
        self.embeddings = Embeddings(architecture)
        self.layers = nn.ModuleList(PostNormLayer(architecture) for _ in range(architecture.num_hidden_layers))
        self.pooler = nn.Linear(architecture.hidden_size, architecture.pooled_size)
        self.pools = architecture.pools
        self._activate = ACTIVATIONS[architecture.pooled_act]
        self._summary_rate = architecture.hidden_dropout_prob if architecture.drops_summary else 0.0

    def pool(self, summary: Tensor) -> Tensor:
        """Pool the first token or the average [B, H] for the head: [B, P]."""
        return self._activate(self.pooler(dropout(summary, self._summary_rate if self.training else 0.0)))
