"""The projection of an attention: queries, keys and values from one linear layer, by head.

Shapes: B batch, N heads, D head size; `...` is [B, L] padded or [T] packed (see `attention`).
"""

from torch import Tensor, nn
from torch.nn import functional

Projected = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values."""
Part = tuple[Tensor, Tensor | None]
"""Weight and bias of a part of the layer."""


class QueryKeyValue(nn.Linear):
    """Rows of the weight make queries, then keys, then values; of each, head after head."""

    def __init__(self, hidden: int, heads: int, head_size: int, *, bias: bool = True) -> None:
        super().__init__(hidden, 3 * heads * head_size, bias)
        self.heads = heads

    def project(self, hidden: Tensor) -> Projected:
        """Project the states of all tokens: [..., N, D] each."""
        query, key, value = by_head(self(hidden), 3, self.heads)
        return query, key, value

    def project_first(self, first: Tensor, hidden: Tensor) -> Projected:
        """Project the states of first tokens to queries [B, N, D], and those of all to keys and values [..., N, D]."""
        of_query, of_others = self.parts()
        (query,) = by_head(functional.linear(first, *of_query), 1, self.heads)
        key, value = by_head(functional.linear(hidden, *of_others), 2, self.heads)
        return query, key, value

    def parts(self) -> tuple[Part, Part]:
        """Return what makes queries, and what makes keys and values."""
        size = self.out_features // 3
        if self.bias is None:
            return (self.weight[:size], None), (self.weight[size:], None)
        return (self.weight[:size], self.bias[:size]), (self.weight[size:], self.bias[size:])


def by_head(projected: Tensor, count: int, heads: int) -> tuple[Tensor, ...]:
    """Divide what was projected into so many parts by head: [..., count * N * D] to [..., N, D] each."""
    return projected.view(*projected.shape[:-1], count, heads, -1).unbind(-3)
