"""The gradients of some examples, added to those of the parameters: as a whole, or in parts on several threads."""

from collections.abc import Sequence
from functools import partial, reduce
from threading import Event

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
_Part = tuple[IntArray, int]  # its examples, and the seed of its masks
_Gradients = list[Tensor | None]  # of each parameter


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
        rounds = inputs.rounds(examples)
        if len(rounds) == len(rounds[0]) == 1:
            loaded, slots = inputs.load(examples)
            return self._graphs.run(partial(self._compute, inputs), divisor, self._targets_of(examples), *loaded), slots
        return self._add_parts(inputs, rounds, divisor)

    def _add_parts(self, inputs: Inputs, rounds: list[list[IntArray]], divisor: int) -> tuple[Tensor, int]:
        seeded = [[(part, int(torch.randint(_SEEDS, ()))) for part in parts] for parts in rounds]
        by_worker, ended = list(zip(*seeded, strict=True)), Event()
        with mapped(partial(self._compute_parts, inputs, divisor, ended), by_worker, len(by_worker)) as computed:
            try:
                found = list(computed)
            except BaseException:
                ended.set()
                raise
        gradients = reduce(_sum, [each for _, _, each in found])
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            if gradient is not None and parameter.grad is not None:
                parameter.grad += gradient
            elif gradient is not None:
                parameter.grad = gradient.contiguous()  # as the optimiser needs it
        return torch.stack([loss for loss, _, _ in found]).sum(), sum(slots for _, slots, _ in found)

    def _compute(self, inputs: Inputs, divisor: int, targets: Tensor, *loaded: Tensor) -> Tensor:
        loss = self._loss_of(inputs, targets, *loaded)
        torch.autograd.backward(loss / divisor)
        return loss.detach()

    def _compute_parts(
        self, inputs: Inputs, divisor: int, ended: Event, parts: Sequence[_Part]
    ) -> tuple[Tensor, int, _Gradients]:
        """Compute parts, one after the other, until it has `ended`; the caller adds their gradients."""
        total, all_slots, sums = torch.zeros(()), 0, _Gradients()
        for examples, seed in parts:
            if ended.is_set():
                break
            loaded, slots = inputs.load(examples)
            with masks_of(seed):
                loss = self._loss_of(inputs, self._targets_of(examples), *loaded)
            found: _Gradients = [*torch.autograd.grad(loss / divisor, self._parameters, allow_unused=True)]
            sums = _sum(sums, found) if sums else found
            total, all_slots = total + loss.detach(), all_slots + slots
        return total, all_slots, sums

    def _loss_of(self, inputs: Inputs, targets: Tensor, *loaded: Tensor) -> Tensor:
        return self._loss(inputs.logits(*loaded)[: len(targets)], targets)

    def _targets_of(self, examples: IntArray) -> Tensor:
        return self._targets[send(examples, self._targets.device)]


def _sum(one: _Gradients, other: _Gradients) -> _Gradients:
    """Add up, and empty both, so that no third set of gradients is in memory."""
    sums: _Gradients = []
    while one:
        first, second = one.pop(), other.pop()
        sums.append(second if first is None else first if second is None else first + second)
    return sums[::-1]
