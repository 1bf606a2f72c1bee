"""The gradients of some examples, added to those of the parameters: as a whole, or in parts on several threads."""

from collections.abc import Sequence
from functools import partial, reduce

import torch
from torch import Tensor

from nli_core.arrays import IntArray
from nli_core.data.loading.loader import send
from nli_core.inference.threads import mapped
from nli_core.model.classifier import Classifier
from nli_core.model.dropout import masks_of
from nli_core.training.graphs import Graphs
from nli_core.training.inputs import Inputs
from nli_core.training.loss import Loss

_SEEDS = 1 << 62
_Share = Sequence[tuple[IntArray, int]]  # parts, and the seeds of their masks
_Sums = tuple[Tensor, int, list[Tensor | None]]  # of the losses, the slots, and each parameter's gradients


class Backward:
    """Computes losses and their gradients."""

    def __init__(self, model: Classifier, loss: Loss, targets: Tensor, graphs: Graphs) -> None:
        """`targets` are those of train, on the device."""
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._loss, self._targets, self._graphs = loss, targets, graphs

    def add_gradients(self, inputs: Inputs, examples: IntArray, divisor: int) -> tuple[Tensor, int]:
        """Add the gradients of examples of train, divided by `divisor`; return the sum of their losses, and the slots.

        Random numbers follow from torch's seed, whatever threads do.
        """
        shares = inputs.parts(examples)
        if len(shares) == len(shares[0]) == 1:
            loaded, slots = inputs.load(examples)
            return self._graphs.run(partial(self._compute, inputs), divisor, self._targets_of(examples), *loaded), slots
        works = [[(part, int(torch.randint(_SEEDS, ()))) for part in share] for share in shares]
        with mapped(partial(self._compute_share, inputs, divisor), works, len(works)) as computed:
            losses, all_slots, gradients = zip(*computed, strict=True)
        for parameter, *found in zip(self._parameters, *gradients, strict=True):
            gradient = reduce(_sum, found)
            if gradient is not None and parameter.grad is not None:
                parameter.grad += gradient
            elif gradient is not None:
                parameter.grad = gradient
        return torch.stack(losses).sum(), sum(all_slots)

    def _compute(self, inputs: Inputs, divisor: int, targets: Tensor, *loaded: Tensor) -> Tensor:
        loss = self._loss(inputs.logits(*loaded)[: len(targets)], targets)
        torch.autograd.backward(loss / divisor)
        return loss.detach()

    def _compute_share(self, inputs: Inputs, divisor: int, share: _Share) -> _Sums:
        """Compute some parts, one after the other; leave the parameters' gradients to who adds up all shares."""
        total, all_slots = torch.zeros(()), 0
        gradients: list[Tensor | None] = [None] * len(self._parameters)
        for part, seed in share:
            loaded, slots = inputs.load(part)
            with masks_of(seed):
                loss = self._loss(inputs.logits(*loaded), self._targets_of(part))
            found = torch.autograd.grad(loss / divisor, self._parameters, allow_unused=True)
            gradients = [_sum(*both) for both in zip(gradients, found, strict=True)]
            total, all_slots = total + loss.detach(), all_slots + slots
        return total, all_slots, gradients

    def _targets_of(self, examples: IntArray) -> Tensor:
        return self._targets[send(examples, self._targets.device)]


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
