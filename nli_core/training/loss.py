"""The loss of a classifier: cross-entropy, with smoothed labels or weighted classes where the config says so."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nli_core.arrays import IntArray
from nli_core.config import FinetuneConfig
from nli_core.errors import UserError


class ClassificationLoss:
    """Sums the losses of examples.

    Labels are smoothed as Szegedy et al. (2016, section 7) do it. A class' weight multiplies the losses of its
    examples (King and Zeng, 2001); batches are divided by their examples, and not by the weights of these.
    """

    def __init__(
        self, config: FinetuneConfig, labels: Sequence[str], label_ids: IntArray, device: torch.device
    ) -> None:
        """`label_ids` [examples] are those of train."""
        self._smoothing = config.label_smoothing
        self._weights: Tensor | None = None
        if config.class_weights is not None:
            weights = class_weights(config.class_weights, labels, label_ids)
            self._weights = torch.tensor(weights, dtype=torch.float32, device=device)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum the losses of logits [examples, labels] in fp32, for label ids [examples]."""
        return functional.cross_entropy(
            logits.float(), labels, weight=self._weights, label_smoothing=self._smoothing, reduction="sum"
        )


def class_weights(wanted: str | Sequence[float], labels: Sequence[str], label_ids: IntArray) -> list[float]:
    """Return the weight of each class; balanced ones give all classes the same sum, and examples 1 on average.

    Raises:
        UserError: there are not as many weights as labels.
    """
    if isinstance(wanted, str):
        counts = np.bincount(label_ids, minlength=len(labels))
        balanced: list[float] = (len(label_ids) / (len(labels) * counts)).tolist()
        return balanced
    if len(wanted) != len(labels):
        raise UserError(
            f"finetune.class_weights: {len(wanted)} weights for {len(labels)} labels; give one for each of "
            f"{', '.join(labels)}, in this order"
        )
    return list(wanted)
