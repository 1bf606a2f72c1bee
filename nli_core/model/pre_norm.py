"""The encoder of ModernBERT (Warner et al., 2024): rotary positions, local and global attention, gated layers.

A norm precedes each sub-layer, and one follows the last. Embeddings are normalised, so that the first layer's attention
needs no norm. Shapes: as in `encoder`.
"""

from torch import Tensor, nn

from nli_core.model.architecture import PreNormArchitecture
from nli_core.model.attention import Layout, Padded
from nli_core.model.dropout import dropout
from nli_core.model.encoder import ACTIVATIONS, EncoderLayer, LayeredEncoder
from nli_core.model.query_key_value import QueryKeyValue
from nli_core.model.rotary import rotate


class TokenEmbeddings(nn.Module):
    """Token embeddings, normalised; positions enter the attention, and token types do not exist."""

    def __init__(self, architecture: PreNormArchitecture) -> None:
        super().__init__()
        self.word = nn.Embedding(architecture.vocab_size, architecture.hidden_size)
        self.norm = _norm(architecture)
        self.dropout_rate = architecture.embedding_dropout

    def forward(self, input_ids: Tensor, _token_type_ids: Tensor, _layout: Layout) -> Tensor:
        """Embed token ids [...] to [..., H]."""
        return dropout(self.norm(self.word(input_ids)), self.dropout_rate if self.training else 0.0)


class PreNormLayer(EncoderLayer):
    """Self-attention and a gated feed-forward network (GeGLU; Shazeer, 2020), each added to what it read."""

    def __init__(self, architecture: PreNormArchitecture, index: int) -> None:
        super().__init__(architecture.hidden_act)
        hidden, inner = architecture.hidden_size, architecture.intermediate_size
        heads = architecture.num_attention_heads
        self.sight = architecture.sights[index]
        self.attention_norm = _norm(architecture) if index else nn.Identity()
        self.query_key_value = QueryKeyValue(hidden, heads, hidden // heads, bias=architecture.attention_bias)
        self.attention_output = nn.Linear(hidden, hidden, bias=architecture.attention_bias)
        self.norm = _norm(architecture)
        self.inner = nn.Linear(hidden, 2 * inner, bias=architecture.mlp_bias)
        self.output = nn.Linear(inner, hidden, bias=architecture.mlp_bias)
        self.attention_dropout_rate = architecture.attention_probs_dropout_prob
        self.dropout_rate = architecture.mlp_dropout

    def forward(self, hidden: Tensor, layout: Layout, *, first_only: bool = False) -> Tensor:
        """Compute the next layer's hidden states [..., H], or those of the first tokens alone [B, H]."""
        query, key, value = self._project(hidden, layout, first_only=first_only)
        rate = self.attention_dropout_rate if self.training else 0.0
        window = self.sight.window
        attended = layout.attend(query, key, value, rate=rate, window=window)
        asking = layout.first(hidden) if first_only else hidden
        middle = asking + dropout(self.attention_output(attended), rate)
        value, gate = self.inner(self.norm(middle)).chunk(2, dim=-1)
        gated = dropout(self.activation(value) * gate, self.dropout_rate if self.training else 0.0)
        summed: Tensor = middle + self.output(gated)
        return summed

    def attention(self, hidden: Tensor, layout: Padded) -> Tensor:
        """Compute the attention weights [B, N, L, L] that `forward` uses, before dropout."""
        query, key, _ = self._project(hidden, layout, first_only=False)
        return layout.weights(query, key, window=self.sight.window)

    def _project(self, hidden: Tensor, layout: Layout, *, first_only: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Project queries [..., N, D], or [B, N, D] of first tokens, and keys and values of all; turn by place."""
        normed = self.attention_norm(hidden)
        theta = self.sight.theta
        if first_only:  # which are at place 0, where nothing turns
            query, key, value = self.query_key_value.project_first(layout.first(normed), normed)
        else:
            query, key, value = self.query_key_value.project(normed)
            query = rotate(query, layout.positions, theta=theta)
        return query, rotate(key, layout.positions, theta=theta), value


class Pooler(nn.Module):
    """A linear layer, an activation and a norm."""

    def __init__(self, architecture: PreNormArchitecture) -> None:
        super().__init__()
        hidden = architecture.hidden_size
        self.dense = nn.Linear(hidden, hidden, bias=architecture.pooler_bias)
        self.activation = ACTIVATIONS[architecture.pooled_act]
        self.norm = _norm(architecture)

    def forward(self, summary: Tensor) -> Tensor:
        """Pool the first token or the average [B, H]."""
        pooled: Tensor = self.norm(self.activation(self.dense(summary)))
        return pooled


class PreNormEncoder(LayeredEncoder):
    """Embeddings, pre-norm layers, a last norm, and the pooler."""

    def __init__(self, architecture: PreNormArchitecture) -> None:
        super().__init__(architecture)
        self.embeddings = TokenEmbeddings(architecture)
        self.layers = nn.ModuleList(PreNormLayer(architecture, index) for index in range(len(architecture.sights)))
        self.final_norm = _norm(architecture)
        self.pooler = Pooler(architecture)
        self.pools = architecture.pools

    def finish(self, hidden: Tensor) -> Tensor:
        """Normalise the last layer's output."""
        normed: Tensor = self.final_norm(hidden)
        return normed

    def pool(self, summary: Tensor) -> Tensor:
        """Pool the first token or the average [B, H] for the head: [B, P]."""
        pooled: Tensor = self.pooler(summary)
        return pooled


def _norm(architecture: PreNormArchitecture) -> nn.LayerNorm:
    return nn.LayerNorm(architecture.hidden_size, eps=architecture.norm_eps, bias=architecture.norm_bias)
