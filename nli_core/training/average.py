"""An average of the weights over the steps of a training, which dev is measured with and which is exported.

An exponential moving average (Polyak and Juditsky, 1992; Tarvainen and Valpola, 2017). At first it forgets faster, as
TensorFlow's does: after `t` steps it keeps at most (1 + t) / (10 + t).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """Keeps the average of a model's trainable parameters; without a decay it does nothing."""

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        self._decay = decay
        self._named = {name: each for name, each in model.named_parameters() if each.requires_grad and decay}
        self._averages = [each.detach().clone() for each in self._named.values()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after so many steps into the average."""
        if self._decay:
            kept = min(self._decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._averages, list(self._named.values()), 1 - kept)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the model for the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def tensors(self) -> dict[str, Tensor]:
        """Return the averages by the parameters' names; none without a decay."""
        return dict(zip(self._named, self._averages, strict=True))

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put the averages back to those of a checkpoint."""
        for average, name in zip(self._averages, self._named, strict=True):
            average.copy_(tensors[name])

    def _swap(self) -> None:
        for parameter, average in zip(self._named.values(), self._averages, strict=True):
            parameter.data, average.data = average.data, parameter.data
