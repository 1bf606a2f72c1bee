"""The gradients of some examples, added to those of the parameters: as a whole, or in parts on several threads."""

import copy
from collections.abc import Sequence
from functools import partial, reduce
from threading import Event

import torch
from torch import Tensor, nn

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


class Backward:
    """Computes losses and their gradients."""

    def __init__(self, model: Classifier, loss: Loss, targets: Tensor, graphs: Graphs) -> None:
        """`targets` are those of train, on the device."""
        self._model, self._loss, self._targets, self._graphs = model, loss, targets, graphs
        self._replicas: list[Classifier] = []  # one for each worker

    def add_gradients(self, inputs: Inputs, examples: IntArray, divisor: int) -> tuple[Tensor, int]:
        """Add the gradients of examples of train, divided by `divisor`; return the sum of their losses, and the slots.

        Random numbers follow from torch's seed, whatever threads do.
        """
        rounds = inputs.rounds(examples)
        if len(rounds) == len(rounds[0]) == 1:
            loaded, slots = inputs.load(examples)
            compute = partial(self._compute, inputs, self._model)
            return self._graphs.run(compute, divisor, self._targets_of(examples), *loaded), slots
        return self._add_parts(inputs, rounds, divisor)

    def _add_parts(self, inputs: Inputs, rounds: list[list[IntArray]], divisor: int) -> tuple[Tensor, int]:
        seeded = [[(part, int(torch.randint(_SEEDS, ()))) for part in parts] for parts in rounds]
        by_worker, ended = list(zip(*seeded, strict=True)), Event()
        while len(self._replicas) < len(by_worker):
            self._replicas.append(_replica(self._model))
        works = list(zip(self._replicas, by_worker, strict=False))
        try:
            with mapped(partial(self._compute_parts, inputs, divisor, ended), works, len(works)) as computed:
                try:
                    found = list(computed)
                finally:
                    ended.set()
        except BaseException:
            self._replicas.clear()  # of which some have gradients
            raise
        for parameter, *own in zip(*(each.parameters() for each in (self._model, *self._replicas)), strict=True):
            _move_gradients(own, parameter)
        return torch.stack([loss for loss, _ in found]).sum(), sum(slots for _, slots in found)

    def _compute_parts(
        self, inputs: Inputs, divisor: int, ended: Event, work: tuple[Classifier, Sequence[_Part]]
    ) -> tuple[Tensor, int]:
        """Compute parts, one after the other, until it has `ended`; the replica keeps their gradients."""
        replica, parts = work
        total, all_slots = torch.zeros(()), 0
        try:
            for examples, seed in parts:
                if ended.is_set():
                    break
                loaded, slots = inputs.load(examples)
                with masks_of(seed):
                    total += self._compute(inputs, replica, divisor, self._targets_of(examples), *loaded)
                all_slots += slots
        except BaseException:
            ended.set()
            raise
        return total, all_slots

    def _compute(self, inputs: Inputs, model: Classifier, divisor: int, targets: Tensor, *loaded: Tensor) -> Tensor:
        loss = self._loss(inputs.logits(model, *loaded)[: len(targets)], targets)
        torch.autograd.backward(loss / divisor)
        return loss.detach()

    def _targets_of(self, examples: IntArray) -> Tensor:
        return self._targets[send(examples, self._targets.device)]


def _replica(model: Classifier) -> Classifier:
    """Copy the model as it is, but for the memory of its parameters: the weights are the same, the gradients not."""
    shared = {id(each): nn.Parameter(each.detach(), each.requires_grad) for each in model.parameters()}
    return copy.deepcopy(model, shared)


def _move_gradients(replicas: Sequence[nn.Parameter], parameter: nn.Parameter) -> None:
    """Add the gradients of a parameter's replicas, in their order, to its own; they have none then."""
    gradients = [each.grad for each in replicas if each.grad is not None]
    for each in replicas:
        each.grad = None
    if not gradients:
        return
    total = reduce(Tensor.add_, gradients)
    if parameter.grad is None:
        parameter.grad = total
    else:
        parameter.grad += total
