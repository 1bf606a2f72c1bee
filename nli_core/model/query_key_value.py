"""The projection of an attention: queries, keys and values from one linear layer.

Shapes: B batch, A attention size; `...` is [B, L] padded or [T] packed (see `attention`).
"""

from torch import Tensor, nn
from torch.nn import functional

Projected = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values."""


class QueryKeyValue(nn.Linear):
    """Rows of the weight make queries, then keys, then values."""

    def __init__(self, hidden: int, attention_size: int, *, bias: bool = True) -> None:
        super().__init__(hidden, 3 * attention_size, bias)

    def project(self, hidden: Tensor) -> Projected:
        """Project the states of all tokens: [..., A] each."""
        query, key, value = self(hidden).chunk(3, dim=-1)
        return query, key, value

    def project_first(self, first: Tensor, hidden: Tensor) -> Projected:
        """Project the states of first tokens to queries [B, A], and those of all to keys and values [..., A]."""
        (query_weight, query_bias), (weight, bias) = self.parts()
        key, value = functional.linear(hidden, weight, bias).chunk(2, dim=-1)
        return functional.linear(first, query_weight, query_bias), key, value

    def parts(self) -> tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]:
        """Return weight and bias of the queries, then those of keys and values."""
        size = self.out_features // 3
        if self.bias is None:
            return (self.weight[:size], None), (self.weight[size:], None)
        return (self.weight[:size], self.bias[:size]), (self.weight[size:], self.bias[size:])
