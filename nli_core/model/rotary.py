"""Rotary positions (Su et al., 2021): queries and keys are turned by an angle that grows with their place."""

import torch
from torch import Tensor


def rotate(states: Tensor, positions: Tensor, *, theta: float) -> Tensor:
    """Turn queries or keys [..., N, D] by their places [L] or [T]; `theta` is the base of the wavelengths.

    Halves of a head are pairs, as in transformers. Computed in fp32.
    """
    size = states.shape[-1]
    steps = torch.arange(0, size, 2, dtype=torch.float32, device=states.device) / size
    angles = positions[:, None].float() / theta**steps
    cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
    first, second = states.float().chunk(2, dim=-1)
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.to(states.dtype)
