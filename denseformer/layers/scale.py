"""Layer scale: "Going deeper with Image Transformers", https://arxiv.org/abs/2103.17239."""

import torch
from torch import Tensor, nn


def gain(dim: int, start: float | None, *, channel_first: bool = False) -> nn.Parameter | None:
    """A gain per channel that starts at `start`, (C,) or (C, 1, 1) for channel-first maps; None without one."""
    return None if start is None else nn.Parameter(torch.full((dim, 1, 1) if channel_first else (dim,), start))


def scaled(x: Tensor, gamma: Tensor | None) -> Tensor:
    """(..., C) times a gain per channel, if there is one."""
    return x if gamma is None else x * gamma


def add_scaled(x: Tensor, branch: Tensor, gamma: Tensor | None) -> Tensor:
    """x + branch * gamma in one pass over the maps; the plain sum where there is no gain."""
    return x + branch if gamma is None else torch.addcmul(x, branch, gamma)


def accumulate_scaled(x: Tensor, branch: Tensor, gamma: Tensor | None) -> Tensor:
    """The same sum of an `x` that nobody reads again: written to it where no gradient is recorded.

    No new map is touched, and a bfloat16 branch of a float32 map is not widened first.
    """
    if torch.is_grad_enabled() or not keeps_dtype(x, branch.dtype, gamma):
        return add_scaled(x, branch, gamma)
    return x.add_(branch) if gamma is None else x.addcmul_(branch, gamma)


def keeps_dtype(x: Tensor, branch: torch.dtype, gamma: Tensor | None) -> bool:
    """Whether the sum of x and a branch of that dtype has the dtype of x."""
    parts = (branch,) if gamma is None else (branch, gamma.dtype)
    return all(torch.promote_types(x.dtype, part) is x.dtype for part in parts)
