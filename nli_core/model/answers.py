"""What logits say: one label, or in a multi-label model each label whose probability reaches its threshold.

An answer is a text: the label, or labels in the order of their names with a separator between them. Without a label it
is empty.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nli_core.arrays import Bools, Floats

HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class Answers(ABC):
    """How a model answers; `labels` are its labels in the order of its outputs."""

    labels: tuple[str, ...]
    temperature: float = 1.0

    @abstractmethod
    def probabilities(self, logits: Floats) -> Floats:
        """Compute the probability of each label [examples, labels], from logits divided by the temperature."""

    @abstractmethod
    def chosen(self, probabilities: Floats) -> Bools:
        """Return which labels the answers have [examples, labels]."""

    @abstractmethod
    def certainty(self, probabilities: Floats) -> Floats:
        """Compute the probability of each answer [examples]."""

    @abstractmethod
    def texts(self, chosen: Bools) -> list[str]:
        """Write answers."""

    @abstractmethod
    def calibrated(self, temperature: float) -> "Answers":
        """Return how to give the same answers with probabilities at this temperature."""


@dataclass(frozen=True, kw_only=True)
class SingleLabel(Answers):
    """Answers with the most probable label."""

    def probabilities(self, logits: Floats) -> Floats:
        return softmax(logits / self.temperature)

    def chosen(self, probabilities: Floats) -> Bools:
        best: Bools = np.arange(len(self.labels)) == probabilities.argmax(axis=1)[:, None]
        return best

    def certainty(self, probabilities: Floats) -> Floats:
        most: Floats = probabilities.max(axis=1)
        return most

    def texts(self, chosen: Bools) -> list[str]:
        return [self.labels[index] for index in chosen.argmax(axis=1)]

    def calibrated(self, temperature: float) -> "SingleLabel":
        return replace(self, temperature=temperature)


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Answers):
    """Answers with any number of labels: those whose probability is at least their threshold."""

    separator: str
    thresholds: tuple[float, ...]

    def probabilities(self, logits: Floats) -> Floats:
        found: Floats = torch.sigmoid(torch.from_numpy(logits / self.temperature)).numpy()
        return found

    def chosen(self, probabilities: Floats) -> Bools:
        reached: Bools = probabilities >= np.array(self.thresholds)
        return reached

    def certainty(self, probabilities: Floats) -> Floats:
        """Compute the probability that each answer is all right, as if its labels were independent."""
        likely: Floats = np.where(self.chosen(probabilities), probabilities, 1 - probabilities).prod(axis=1)
        return likely

    def texts(self, chosen: Bools) -> list[str]:
        by_name = sorted(range(len(self.labels)), key=lambda index: self.labels[index])
        names = [self.labels[by_name[column]] for column in np.nonzero(chosen[:, by_name])[1]]
        ends = [0, *np.cumsum(chosen.sum(axis=1)).tolist()]
        return [self.separator.join(names[start:end]) for start, end in itertools.pairwise(ends)]

    def calibrated(self, temperature: float) -> "MultiLabel":
        logits = torch.logit(torch.tensor(self.thresholds, dtype=torch.float64)) * self.temperature
        thresholds = tuple(torch.sigmoid(logits / temperature).tolist())
        return replace(self, thresholds=thresholds, temperature=temperature)


def softmax(logits: Floats) -> Floats:
    """Compute probabilities [examples, labels] that sum to 1."""
    probabilities: Floats = np.exp(torch.log_softmax(torch.from_numpy(logits), dim=1).numpy())
    return probabilities


def answers_of(
    labels: Sequence[str],
    separator: str | None,
    thresholds: Sequence[float] | None = None,
    temperature: float = 1.0,
) -> Answers:
    """Return how a model with these labels answers; with a separator it is multi-label, by default from one half on."""
    if separator is None:
        return SingleLabel(labels=tuple(labels), temperature=temperature)
    return MultiLabel(
        labels=tuple(labels),
        temperature=temperature,
        separator=separator,
        thresholds=tuple(thresholds or [HALF] * len(labels)),
    )
