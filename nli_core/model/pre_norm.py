"""The encoder of ModernBERT (Warner et al., 2024): rotary positions, local and global attention, gated layers.

A norm precedes each sub-layer, and one follows the last. Embeddings are normalised, so that the first layer's attention
needs no norm. Shapes: as in `encoder`.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from nli_core.model.architecture import Activation, Architecture
from nli_core.model.attention import Layout, Padded
from nli_core.model.dropout import dropout
from nli_core.model.encoder import ACTIVATIONS, EncoderLayer, LayeredEncoder, Pooling
from nli_core.model.query_key_value import QueryKeyValue
from nli_core.model.rotary import rotate


@dataclass(frozen=True)
class Sight:
    """How far the tokens of a layer see: `window` tokens, or None for all; and the base of its rotary positions."""

    window: int | None
    theta: float


@dataclass(frozen=True, kw_only=True)
class PreNormArchitecture(Architecture):
    """Sizes and constants of a pre-norm encoder. `sights` has one for each layer."""

    num_attention_heads: int
    intermediate_size: int
    hidden_act: Activation
    norm_eps: float
    sights: tuple[Sight, ...]
    pools: Pooling
    pooled_act: Activation
    embedding_dropout: float
    mlp_dropout: float
    attention_bias: bool
    mlp_bias: bool
    norm_bias: bool
    pooler_bias: bool

    def norm(self) -> nn.LayerNorm:
        """Make a norm of this encoder."""
        return nn.LayerNorm(self.hidden_size, eps=self.norm_eps, bias=self.norm_bias)


class TokenEmbeddings(nn.Module):
    """Token embeddings, normalised; positions enter the attention, and token types do not exist."""

    def __init__(self, architecture: PreNormArchitecture) -> None:
        super().__init__()
        self.word = nn.Embedding(architecture.vocab_size, architecture.hidden_size)
        self.norm = architecture.norm()
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
        self.attention_norm = architecture.norm() if index else nn.Identity()
        self.query_key_value = QueryKeyValue(hidden, heads, hidden // heads, bias=architecture.attention_bias)
        self.attention_output = nn.Linear(hidden, hidden, bias=architecture.attention_bias)
        self.norm = architecture.norm()
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
        self.norm = architecture.norm()

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
        self.final_norm = architecture.norm()
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
