"""AdamW and its learning-rate schedule."""

import re
from inspect import unwrap

import torch
from torch import nn

from nli_core.config import FinetuneConfig

_Optimizer = torch.optim.Optimizer
_LAYER = re.compile(r"\blayers?\.(\d+)\.")


class AdamW(torch.optim.AdamW):
    """torch's AdamW without its wrappers for torch.compile, whose import takes nearly as long as torch's own."""

    add_param_group = unwrap(_Optimizer.add_param_group)
    state_dict = unwrap(_Optimizer.state_dict)
    load_state_dict = unwrap(_Optimizer.load_state_dict)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))


def build_optimizer(model: nn.Module, layers: int, config: FinetuneConfig) -> AdamW:
    """Build AdamW over the trainable parameters, without decay on biases and norms (Devlin et al., 2019).

    `layers` is how many layers the encoder has. Each group has the `scale` of its learning rate: 1 for the head and the
    pooler, and with `layer_decay` less for each layer below, the least for the embeddings (Howard and Ruder, 2018;
    Clark et al., 2020).
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = config.layer_decay ** (layers + 1 - depth(name, layers))
            groups.setdefault((-scale, parameter.ndim <= 1), []).append(parameter)
    described = [
        {"params": groups[scale, plain], "weight_decay": 0.0 if plain else config.weight_decay, "scale": -scale}
        for scale, plain in sorted(groups)
    ]
    return AdamW(described, lr=config.learning_rate, eps=config.adam_epsilon, fused=True)


def depth(name: str, layers: int) -> int:
    """Return how far a parameter is from the tokens: 0 in the embeddings, then its layer from 1, the rest on top."""
    if found := _LAYER.search(name):
        return int(found[1]) + 1
    return 0 if "embeddings" in name else layers + 1


def learning_rate(step: int, total_steps: int, config: FinetuneConfig) -> float:
    """Compute the rate of step `step`, from 0: it rises linearly over the warm-up, then falls to 0 or stays."""
    warmup = round(config.warmup_fraction * total_steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * (total_steps - step) / (total_steps - warmup)
