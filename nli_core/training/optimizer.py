"""AdamW and its learning-rate schedule."""

import torch
from torch import nn

from nli_core.config import FinetuneConfig


def build_optimizer(model: nn.Module, config: FinetuneConfig) -> torch.optim.AdamW:
    """Build AdamW over the trainable parameters, without decay on biases and norms (Devlin et al., 2019)."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trainable if parameter.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [parameter for parameter in trainable if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, eps=config.adam_epsilon, fused=True)


def learning_rate(step: int, total_steps: int, config: FinetuneConfig) -> float:
    """Compute the rate of step `step`, from 0: it rises linearly over the warm-up, then falls to 0 or stays."""
    warmup = round(config.warmup_fraction * total_steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * (total_steps - step) / (total_steps - warmup)
