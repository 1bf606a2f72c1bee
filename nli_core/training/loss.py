"""The loss of a classifier, with smoothed labels or weighted classes where the config says so.

Cross-entropy where each example has one label; in a multi-label corpus the mean over labels of the binary one.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nli_core.arrays import Floats
from nli_core.config import FinetuneConfig
from nli_core.data.examples.targets import Targets, count_targets
from nli_core.errors import UserError

Loss = Callable[[Tensor, Tensor], Tensor]
"""Sums the losses of logits [examples, labels], in fp32, for their targets."""


def make_loss(config: FinetuneConfig, labels: Sequence[str], targets: Targets, device: torch.device) -> Loss:
    """Return the loss for targets like these, which are those of train.

    Raises:
        UserError: there are not as many weights as labels.
    """
    weights = None
    if config.class_weights is not None:
        values = class_weights(config.class_weights, labels, targets)
        weights = torch.tensor(values, dtype=torch.float32, device=device)
    kind = ClassificationLoss if targets.ndim == 1 else MultiLabelLoss
    return kind(weights, config.label_smoothing)


class ClassificationLoss:
    """Cross-entropy.

    Labels are smoothed as Szegedy et al. (2016, section 7) do it. A class' weight multiplies the losses of its
    examples (King and Zeng, 2001); batches are divided by their examples, and not by the weights of these.
    """

    def __init__(self, weights: Tensor | None, smoothing: float) -> None:
        """`weights` [labels] are those of the classes."""
        self._weights, self._smoothing = weights, smoothing

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Sum the losses for class numbers [examples]."""
        return functional.cross_entropy(
            logits.float(), targets, weight=self._weights, label_smoothing=self._smoothing, reduction="sum"
        )


class MultiLabelLoss:
    """Binary cross-entropy, whose mean over the labels is an example's loss, as transformers has it.

    Smoothing moves each target towards one half. A label's weight multiplies its loss in the examples that have it.
    """

    def __init__(self, weights: Tensor | None, smoothing: float) -> None:
        """`weights` [labels] are those of the labels."""
        self._weights, self._smoothing = weights, smoothing

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Sum the losses for truth values [examples, labels]."""
        smoothed = targets.float() * (1 - self._smoothing) + self._smoothing / 2
        losses = functional.binary_cross_entropy_with_logits(
            logits.float(), smoothed, pos_weight=self._weights, reduction="none"
        )
        return losses.mean(dim=1).sum()


def class_weights(wanted: str | Sequence[float], labels: Sequence[str], targets: Targets) -> list[float]:
    """Return the weight of each class; balanced ones give all classes the same sum, and examples 1 on average.

    Of several labels an example, balanced ones make the examples with a label weigh as much as those without it.

    Raises:
        UserError: there are not as many weights as labels.
    """
    if isinstance(wanted, str):
        counts, examples = count_targets(targets, len(labels)), len(targets)
        if targets.ndim == 1:
            balanced: Floats = examples / (len(labels) * counts)
        else:
            balanced = np.maximum(examples - counts, 1) / counts
        weights: list[float] = balanced.tolist()
        return weights
    if len(wanted) != len(labels):
        raise UserError(
            f"finetune.class_weights: {len(wanted)} weights for {len(labels)} labels; give one for each of "
            f"{', '.join(labels)}, in this order"
        )
    return list(wanted)
