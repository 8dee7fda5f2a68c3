"""Layer scale: "Going deeper with Image Transformers", https://arxiv.org/abs/2103.17239."""

import torch
from torch import Tensor, nn


def make_layer_scale(dim: int, start: float | None, *, channel_first: bool = False) -> nn.Parameter | None:
    """A gain per channel that starts at `start`, (C,) or (C, 1, 1) for channel-first maps; None without one."""
    return None if start is None else nn.Parameter(torch.full((dim, 1, 1) if channel_first else (dim,), start))


def apply_layer_scale(x: Tensor, gamma: Tensor | None) -> Tensor:
    """(..., C) times a gain per channel, if there is one."""
    return x if gamma is None else x * gamma
