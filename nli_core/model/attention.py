"""How the tokens of a batch lie in memory, and attention over them.

    padded  [B, L]  each example fills a row, padding the rest of it: what a CPU computes
    packed  [T]     one example after the other, `cu_seqlens` [B + 1] says where each begins: no padding; for GPUs

Shapes: B batch, L length, T tokens, N heads, D head size, A attention size (N times D), H hidden size; `...` is [B, L]
or [T].

On a CPU attention is plain batched matrix products: there the backward pass of torch's fused attention costs more than
all matrix products of a small model together. Packed, on a GPU in half precision, it is flash attention, which knows no
dropout of the attention weights. Anywhere else packed examples are padded for the attention alone.
"""

from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nli_core.model.dropout import dropout

_LARGEST_FLASH_HEAD = 256


class Layout(Protocol):
    """Where the tokens of a batch lie."""

    @property
    def positions(self) -> Tensor:
        """Each token's place in its example, from 0: [L] padded, [T] packed."""

    def rows_of_positions(self, table: Tensor) -> Tensor:
        """Take the rows of the position embeddings [most positions, H] to add to the tokens'."""

    def running_count(self, marked: Tensor) -> Tensor:
        """Count the marked tokens [...] of an example up to each of its tokens, itself among them: [...]."""

    def first(self, states: Tensor) -> Tensor:
        """Take the first token of every example: [..., H] to [B, H]."""

    def average(self, states: Tensor) -> Tensor:
        """Average the tokens of every example, in fp32: [..., H] to [B, H]."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, rate: float, window: int | None = None) -> Tensor:
        """Attend from each query [..., N, D] to its example: [..., A], or [B, A] for first tokens' queries [B, N, D].

        `rate` is the dropout rate of the attention weights, 0 when not training. With a `window` a token sees those at
        most so far from it.
        """


class Padded:
    """Tokens [B, L] of which the first `lengths` [B] of a row count."""

    def __init__(self, lengths: Tensor, length: int, dtype: torch.dtype) -> None:
        """`dtype` is that of the attention scores."""
        self.lengths = lengths
        self._length = length
        self._inside = torch.arange(length, device=lengths.device) < lengths[:, None]
        self._bias: Tensor | None = None
        self._biases: dict[int, Tensor] = {}  # by window
        # A GPU would have to be waited for, and a graph that is exported does not know.
        if lengths.is_cuda or torch.compiler.is_exporting() or not bool(self._inside.all()):
            bias = torch.zeros(self._inside.shape, dtype=dtype, device=lengths.device)
            self._bias = bias.masked_fill(~self._inside, float("-inf"))[:, None, None, :]

    @cached_property
    def positions(self) -> Tensor:
        return torch.arange(self._length, device=self.lengths.device)

    def rows_of_positions(self, table: Tensor) -> Tensor:
        return table[: self._length]

    def running_count(self, marked: Tensor) -> Tensor:
        return marked.long().cumsum(dim=1)

    def first(self, states: Tensor) -> Tensor:
        return states[:, 0]

    def average(self, states: Tensor) -> Tensor:
        return (states.float() * self._inside[..., None]).sum(dim=1) / self.lengths[:, None]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, rate: float, window: int | None = None) -> Tensor:
        first_only = query.ndim < key.ndim
        weights = self.weights(query[:, None] if first_only else query, key, window=window)
        attended = torch.bmm(dropout(weights, rate).flatten(0, 1), _head_first(value))
        joined = attended.view(*weights.shape[:2], *attended.shape[1:]).transpose(1, 2).flatten(2)
        return joined[:, 0] if first_only else joined

    def weights(self, query: Tensor, key: Tensor, *, window: int | None = None) -> Tensor:
        """Compute attention weights [B, N, queries, L] of the first tokens or of all; rows sum to 1."""
        examples, length, heads, _ = key.shape
        products = torch.bmm(_head_first(query), _head_first(key).transpose(1, 2))
        scores = products.view(examples, heads, -1, length)
        scale = query.shape[-1] ** -0.5
        bias = self._bias if window is None else self._bias_within(window, scores.shape[2], scores.dtype)
        scores = scores * scale if bias is None else torch.add(bias, scores, alpha=scale)
        # In fp32, and not only because it is exact: torch's softmax of bf16 takes two to three times as long on a CPU.
        return torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)

    def _bias_within(self, window: int, queries: int, dtype: torch.dtype) -> Tensor | None:
        """Return what to add to the scores of the first queries, so that none sees a token beyond its window.

        A token of the padding sees the first token, since a row without any would be NaN.
        """
        if not torch.compiler.is_exporting() and self._length <= window + 1:
            return self._bias
        if window not in self._biases:
            places = self.positions
            seen = ((places[:, None] - places).abs() <= window) & self._inside[:, None, :]
            seen = seen | ((places[:, None] >= self.lengths[:, None, None]) & (places == 0))
            bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
            self._biases[window] = bias.masked_fill(~seen, float("-inf"))[:, None]
        return self._biases[window][:, :, :queries]


class Packed:
    """Tokens [T], the examples' one after the other; their `lengths` [B] are at least 1 and sum to T."""

    def __init__(self, lengths: Tensor, tokens: int, longest: int | None) -> None:
        """`longest` is a bound on the lengths; without it the device must be waited for."""
        self.lengths = lengths
        self.longest = int(lengths.max()) if longest is None else longest
        self._cu_seqlens = torch.zeros(len(lengths) + 1, dtype=torch.int32, device=lengths.device)
        self._cu_seqlens[1:] = lengths.cumsum(0)
        self._starts = self._cu_seqlens[:-1].long()
        examples = torch.arange(len(lengths), device=lengths.device)
        self._example_of = torch.repeat_interleave(examples, lengths, output_size=tokens)
        self.positions = torch.arange(tokens, device=lengths.device) - self._starts[self._example_of]

    def rows_of_positions(self, table: Tensor) -> Tensor:
        return functional.embedding(self.positions, table)

    def running_count(self, marked: Tensor) -> Tensor:
        counts = marked.long().cumsum(dim=0)
        return counts - (counts - marked.long())[self._starts][self._example_of]

    def first(self, states: Tensor) -> Tensor:
        return states[self._starts]

    def average(self, states: Tensor) -> Tensor:
        sums = torch.zeros(len(self.lengths), states.shape[-1], device=states.device)
        return sums.index_add(0, self._example_of, states.float()) / self.lengths[:, None]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, rate: float, window: int | None = None) -> Tensor:
        first_only = len(query) == len(self.lengths)
        size = query.shape[-1]
        unfit = size % 8 != 0 or size > _LARGEST_FLASH_HEAD
        # Flash attention would put the window of a single query around the last token.
        if not query.is_cuda or query.dtype == torch.float32 or unfit or (first_only and window is not None):
            rate = 0.0 if query.is_cuda else rate  # the same on a GPU whichever way it computes
            padded = Padded(self.lengths, self.longest, query.dtype)
            indices = self._starts[:, None] + torch.arange(self.longest, device=query.device)
            indices = indices.clamp(max=len(key) - 1)
            asking = query if first_only else query[indices]
            states = padded.attend(asking, key[indices], value[indices], rate=rate, window=window)
            return states if first_only else states.flatten(0, 1)[self._example_of * self.longest + self.positions]
        each = torch.arange(len(self._cu_seqlens), dtype=torch.int32, device=query.device)
        from torch.nn.attention.varlen import varlen_attn  # imports torch's compiler, which takes seconds

        attended = varlen_attn(
            query,
            key,
            value,
            each if first_only else self._cu_seqlens,
            self._cu_seqlens,
            1 if first_only else self.longest,
            self.longest,
            window_size=(-1, -1) if window is None else (window, window),
        )
        assert isinstance(attended, Tensor)
        return attended.flatten(1)


def _head_first(states: Tensor) -> Tensor:
    """Lay states [B, L, N, D] out for products of each head: [B * N, L, D]."""
    return states.transpose(1, 2).flatten(0, 1)
