"""Forward and backward as CUDA graphs: one launch for a batch, instead of some 300 that take longer than the work.

A graph holds for inputs of its shapes alone, in memory of its own. Packed batches have few shapes: see `loader`.
Random numbers are those of the seed before it, as without a graph.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nli_core.errors import reason_of
from nli_core.log import LOGGER

_MOST_GRAPHS = 8  # each keeps the memory of a batch
_SEEN_BEFORE = (
    3  # times that a shape is computed before it gets a graph: libraries make ready, and rare shapes get none
)

Compute = Callable[..., Tensor]
Capture = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]
"""Records what a function computes; returns what computes it again, and where its result then is."""


@dataclass(frozen=True)
class _Graph:
    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    result: Tensor

    def run(self, inputs: tuple[Tensor, ...]) -> Tensor:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.replay()
        return self.result.clone()


class Graphs:
    """Calls a function, from the fourth time on that its inputs have these shapes by a graph."""

    def __init__(self, capture: Capture | None) -> None:
        """Without a `capture` there are no graphs."""
        self._capture = capture
        self._seen: dict[tuple[object, ...], int] = {}
        self._graphs: dict[tuple[object, ...], _Graph] = {}

    def run(self, compute: Compute, number: int, *inputs: Tensor) -> Tensor:
        """Return `compute(number, *inputs)`, of a function that is the same each time.

        The number becomes a part of the graph, and the inputs are copied to it. The function may change tensors that
        live as long as this.
        """
        key = (number, *(tensor.shape for tensor in inputs))
        if key not in self._graphs and self._capture is not None and len(self._graphs) < _MOST_GRAPHS:
            self._seen[key] = self._seen.get(key, 0) + 1
            if self._seen[key] > _SEEN_BEFORE:
                self._record(self._capture, key, partial(compute, number), inputs)
        graph = self._graphs.get(key)
        return graph.run(inputs) if graph else compute(number, *inputs)

    def _record(self, capture: Capture, key: tuple[object, ...], compute: Compute, inputs: tuple[Tensor, ...]) -> None:
        """Make a graph; where that fails, say so, and make no other."""
        own = tuple(tensor.clone() for tensor in inputs)
        try:
            self._graphs[key] = _Graph(own, *capture(partial(compute, *own)))
        except RuntimeError as error:  # torch's own, of memory too
            self._capture = None
            LOGGER.warning("finetune: continues without CUDA graphs (%s)", reason_of(error))


def cuda_capture(device: torch.device) -> Capture | None:
    """Return what captures graphs on a GPU, whose memory they share; None on a CPU."""
    if device.type != "cuda":
        return None
    pool = torch.cuda.graph_pool_handle()

    def capture(compute: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # Other threads, such as NCCL's, may use the GPU meanwhile.
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                result = compute()
        finally:
            torch.cuda.set_stream(before)  # which torch leaves to a capture that fails
        return graph.replay, result

    return capture
