"""The book's way (Dive into Deep Learning, 16.7), for comparison: what its dataset class and its loop do.

The package d2l brings the model, the vocabulary and the helpers; the dataset class stands only in the book, so an equal
one is written out here. d2l imports packages for images and notebooks that the book's chapter does not use; they are
replaced by empty ones.
"""

import multiprocessing
import sys
import types
from collections.abc import Sequence
from typing import Any

import torch


def import_d2l() -> Any:
    """`d2l.torch`, without torchvision and the packages for notebooks."""
    for name in ("torchvision", "IPython", "matplotlib_inline"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["torchvision"].transforms = types.ModuleType("transforms")
    sys.modules["IPython"].display = types.ModuleType("display")
    sys.modules["matplotlib_inline"].backend_inline = types.ModuleType("backend_inline")
    from d2l import torch as d2l

    return d2l


class BookDataset(torch.utils.data.Dataset):
    """Pairs as padded int64 tensors, made by 4 processes, one pair at a time."""

    def __init__(
        self, premises: Sequence[str], hypotheses: Sequence[str], labels: Any, max_len: int, vocab: Any
    ) -> None:
        self.max_len, self.vocab = max_len, vocab
        sides = [import_d2l().tokenize([text.lower() for text in side]) for side in (premises, hypotheses)]
        with multiprocessing.get_context("fork").Pool(4) as pool:
            rows = pool.map(self._encode, list(zip(*sides, strict=True)))
        self.token_ids = torch.tensor([row[0] for row in rows], dtype=torch.long)
        self.segments = torch.tensor([row[1] for row in rows], dtype=torch.long)
        self.valid_lens = torch.tensor([row[2] for row in rows])
        self.labels = torch.as_tensor(labels)

    def _encode(self, pair: tuple[list[str], list[str]]) -> tuple[list[int], list[int], int]:
        premise, hypothesis = pair
        while len(premise) + len(hypothesis) > self.max_len - 3:
            (premise if len(premise) > len(hypothesis) else hypothesis).pop()
        tokens, segments = import_d2l().get_tokens_and_segments(premise, hypothesis)
        missing = self.max_len - len(tokens)
        return self.vocab[tokens] + [self.vocab["<pad>"]] * missing, segments + [0] * missing, len(tokens)

    def __getitem__(self, place: int) -> Any:
        return (self.token_ids[place], self.segments[place], self.valid_lens[place]), self.labels[place]

    def __len__(self) -> int:
        return len(self.labels)
