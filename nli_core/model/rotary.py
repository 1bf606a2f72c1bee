"""Rotary positions (Su et al., 2021): queries and keys are turned by an angle that grows with their place."""

import torch
from torch import Tensor


def rotate(states: Tensor, positions: Tensor, *, heads: int, theta: float) -> Tensor:
    """Turn queries or keys [..., A] by their places [L] or [T]; `theta` is the base of the wavelengths.

    Halves of a head are pairs, as in transformers. Computed in fp32.
    """
    by_head = states.view(*states.shape[:-1], heads, -1)
    size = by_head.shape[-1]
    steps = torch.arange(0, size, 2, dtype=torch.float32, device=states.device) / size
    angles = positions[:, None].float() / theta**steps
    cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
    first, second = by_head.float().chunk(2, dim=-1)
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.to(states.dtype).flatten(-2)
