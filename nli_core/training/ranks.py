"""The processes that train one model together, and what they agree on.

A rank that fails alone leaves the others waiting for it. So an error is held back until every rank knows of it, and
then ends all of them.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, distributed

from nli_core.arrays import IntArray
from nli_core.callbacks import StoppedError

Value = TypeVar("Value")


def backend(*, gpus: bool) -> str:
    """Return what carries the ranks' tensors: those in memory, and those of GPUs if there are any."""
    return "cpu:gloo,cuda:nccl" if gpus else "gloo"


class OtherRankError(Exception):
    """Another rank failed; its own error says why."""


class Ranks:
    """One of `size` processes, by default the only one. Rank 0 writes.

    Every rank calls the methods in the same order, and none within another's `work`.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def share(self, items: IntArray) -> IntArray:
        """Return this rank's part of a batch: every `size`-th item, so that items sorted by length divide evenly."""
        return items[self.rank :: self.size]

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all ranks, in place."""
        if self.size > 1:
            try:
                distributed.all_reduce(tensor)
            except RuntimeError as error:  # a connection that closes is no fault of this rank
                raise OtherRankError(str(error)) from error
        return tensor

    def agree(self, value: Value) -> Value:
        """Return the value of rank 0."""
        values = [value]
        if self.size > 1:
            distributed.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def agree_on_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of rank 0, which are in memory. What the other ranks give is not looked at."""
        if self.size == 1:
            return tensors
        described = self.agree({name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()})
        if self.rank > 0:
            tensors = {name: torch.empty(shape, dtype=kind) for name, (shape, kind) in described.items()}
        for name in described:
            distributed.broadcast(tensors[name], src=0)
        return tensors

    def together(self, work: Callable[[], Value]) -> Value:
        """Return what `work` returns, once it has succeeded on every rank.

        Raises:
            Exception: this rank's own error.
            OtherRankError: another rank failed.
            StoppedError: no rank failed, and one was asked to stop.
        """
        results: list[Value] = []
        error = None
        try:
            results.append(work())
        except Exception as caught:  # raised below
            error = caught
        stops = isinstance(error, StoppedError)
        failed, stopped = self.sum(torch.tensor([error is not None and not stops, stops], dtype=torch.int32)).tolist()
        if error is not None and not (stops and failed):
            raise error
        if failed:
            raise OtherRankError
        if stopped:
            raise StoppedError
        return results[0]

    def first(self, work: Callable[[], object]) -> None:
        """Do `work` on rank 0 while the others wait; an error there is raised on all, as by `together`."""
        self.together(work if self.rank == 0 else lambda: None)
