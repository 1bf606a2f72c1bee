"""The gradients of a step, summed over the ranks by one reduction that takes a few numbers along."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nli_core.training.ranks import Ranks

_NUMBERS = 4  # of a step: loss, slots, stop, fault


@dataclass(frozen=True)
class StepSums:
    """Sums over the ranks: the losses of all examples, the slots of tokens, and how many stop or failed."""

    loss: Tensor
    slots: Tensor | int
    _flags: Tensor | None

    def flags(self) -> tuple[bool, bool]:
        """Return whether a rank was asked to stop, and whether one failed. Waits for the device."""
        if self._flags is None:
            return False, False
        stop, fault = self._flags.tolist()
        return stop > 0, fault > 0


class Gradients:
    """Holds the gradients in one flat buffer, of which those of the parameters are views: for several ranks or graphs.

    One rank on a CPU has no buffer, since memory that is freed and taken again is faster than zeroed memory.
    """

    def __init__(self, model: nn.Module, ranks: Ranks, *, stay: bool) -> None:
        """Make the buffer, on the device of the model; `stay` says that a rank alone needs it too."""
        self._ranks = ranks
        self._trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._buffer: Tensor | None = None
        if ranks.size > 1 or stay:
            sizes = [parameter.numel() for parameter in self._trainable]
            self._buffer = torch.zeros(sum(sizes) + _NUMBERS, device=self._trainable[0].device)
            for parameter, view in zip(self._trainable, torch.split(self._buffer[:-_NUMBERS], sizes), strict=True):
                parameter.grad = view.view_as(parameter)

    def clear(self) -> None:
        """Forget the gradients of the last step."""
        if self._buffer is not None:
            self._buffer.zero_()
        else:
            for parameter in self._trainable:
                parameter.grad = None

    def sum(self, loss: Tensor, slots: int, *, stop: bool, fault: bool) -> StepSums:
        """Sum the gradients over the ranks, and with them this rank's losses, slots and flags."""
        if self._buffer is None or self._ranks.size == 1:
            return StepSums(loss, slots, None)
        self._buffer[-_NUMBERS] = loss
        self._buffer[-_NUMBERS + 1 :].copy_(torch.tensor([slots, stop, fault]), non_blocking=True)
        self._ranks.sum(self._buffer)
        numbers = self._buffer[-_NUMBERS:].clone()
        return StepSums(numbers[0], numbers[1], numbers[2:])
