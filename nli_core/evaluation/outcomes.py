"""What a model claims about examples, beside what is true of them: the ground of all measures."""

from dataclasses import dataclass

import numpy as np

from nli_core.arrays import Bools, Floats
from nli_core.data.examples.targets import Targets
from nli_core.model.answers import Answers

_TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class Outcomes:
    """Probabilities and answers [examples, labels], the targets, and what follows from them.

    Of each example [examples], `right` says whether the answer is and `certainty` is its probability. `losses` has the
    negative log-likelihood of the truth, and `squares` the squared distance of the probabilities to it. `claims` are
    probabilities that something is so, and `truths` whether it is. They are about answers [examples]. In a multi-label
    model they are about each label [examples, labels], and losses and squares are means over labels.
    """

    probabilities: Floats
    chosen: Bools
    targets: Targets
    right: Bools
    certainty: Floats
    losses: Floats
    squares: Floats
    claims: Floats
    truths: Bools

    @classmethod
    def of(cls, answers: Answers, probabilities: Floats, targets: Targets) -> "Outcomes":
        """Hold the probabilities [examples, labels] of a model against the targets."""
        chosen, certainty = answers.chosen(probabilities), answers.certainty(probabilities)
        if targets.ndim == 1:
            likelihoods = probabilities[np.arange(len(targets)), targets]
            squares = ((probabilities - np.eye(len(answers.labels))[targets]) ** 2).sum(axis=1)
            right = probabilities.argmax(axis=1) == targets
            losses = -np.log(np.maximum(likelihoods, _TINY))
            return cls(probabilities, chosen, targets, right, certainty, losses, squares, certainty, right)
        likelihoods = np.where(targets, probabilities, 1 - probabilities)
        losses = -np.log(np.maximum(likelihoods, _TINY)).mean(axis=1)
        squares = ((probabilities - targets) ** 2).mean(axis=1)
        right = (chosen == targets).all(axis=1)
        return cls(probabilities, chosen, targets, right, certainty, losses, squares, probabilities, targets)
