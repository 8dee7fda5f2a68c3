"""Overlapping patches: cutting them out of a map wherever they start, and averaging them back into it.

Unlike windows they need not tile the map: a side is covered by patches at any ascending starts, the last of which
ends where the side ends.

Legend: B batch, H W map, C channels, ph pw patch sides, n patches per map, N = ph * pw tokens.
"""

from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.caching import cached_constant
from denseformer.dynamic_shapes import ceil_div, is_symbolic

Size = tuple[int, int]
AxisStarts: TypeAlias = tuple[int, ...] | Tensor
Starts = tuple[AxisStarts, AxisStarts]
"""Where patches start, rows and columns; tensors where their number is symbolic."""


def stepped_starts(side: int, patch: int, step: int) -> AxisStarts:
    """Starts `step` apart, the last one moved back so that its patch ends with the side; patch <= side."""
    count = ceil_div(side - patch, step) + 1
    if is_symbolic(count):
        return torch.minimum(torch.arange(count) * step, as_tensor(side - patch))
    return tuple(min(i * step, side - patch) for i in range(count))


def balanced_starts(side: int, patch: int) -> AxisStarts:
    """Starts of as few patches as cover `side`, about equally far apart; patch <= side."""
    gaps = (side - 1) // patch
    if is_symbolic(gaps):
        last, steps = as_tensor(side - patch), as_tensor(gaps).clamp(min=1)
        return torch.minimum(torch.arange(gaps + 1) * ((last + steps - 1) // steps), last)
    return stepped_starts(side, patch, ceil_div(side - patch, gaps)) if gaps else (0,)


def as_tensor(length: int) -> Tensor:
    """A symbolic length as a tensor, to calculate with where symbols are slow or cannot be solved for."""
    return torch.scalar_tensor(length, dtype=torch.int64)


def extract_patches(x: Tensor, patch: Size, starts: Starts) -> Tensor:
    """(B, H, W, C) -> (B, n, N, C), patches in row-major order."""
    B, H, W, C = x.shape
    index = patch_index((H, W), patch, starts, x.device)
    return take_tokens(x.reshape(B, H * W, C), index.expand(B, -1)).view(B, -1, patch[0] * patch[1], C)


def average_patches(patches: Tensor, patch: Size, starts: Starts, size: Size) -> Tensor:
    """(B, n, N, C) -> (B, H, W, C) with `size` = (H, W): the mean of all patches that cover a token."""
    (H, W), (ph, pw), (tops, lefts) = size, patch, starts
    B, C = patches.shape[0], patches.shape[-1]
    share = patch_share(size, patch, starts, patches.device).to(patches.dtype)
    if isinstance(tops, Tensor) or isinstance(lefts, Tensor):
        index = patch_index(size, patch, starts, patches.device)[None, :, None].expand(B, -1, C)
        total = patches.new_zeros(B, H * W, C).scatter_add(1, index, patches.flatten(1, 2))
        return total.view(B, H, W, C) * share
    patches = patches.view(B, len(tops), len(lefts), ph, pw, C)
    rows = patches.new_zeros(B, len(tops), ph, W, C)
    for i, left in enumerate(lefts):
        rows[:, :, :, left : left + pw] += patches[:, :, i]
    total = patches.new_zeros(B, H, W, C)
    for i, top in enumerate(tops):
        total[:, top : top + ph] += rows[:, i]
    return total * share


def take_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Rows of each sequence: tokens (B, N, C), index (B, M) into its N -> (B, M, C)."""
    B, N, C = tokens.shape
    first = torch.arange(B, device=index.device)[:, None] * N
    return F.embedding(index + first, tokens.reshape(B * N, C))  # its backward is the fastest of all gathers


@cached_constant(maxsize=64)
def patch_index(size: Size, patch: Size, starts: Starts, device: torch.device) -> Tensor:
    """(n * N,) positions in the flattened map of all tokens of all patches."""
    rows, columns = (
        torch.as_tensor(first, device=device)[:, None] + torch.arange(side, device=device)
        for first, side in zip(starts, patch, strict=True)
    )
    return (rows[:, None, :, None] * size[1] + columns[None, :, None, :]).flatten()


@cached_constant(maxsize=64)
def patch_share(size: Size, patch: Size, starts: Starts, device: torch.device) -> Tensor:
    """(H, W, 1): one over the number of patches that cover a token."""
    rows, columns = (torch.zeros(side, device=device) for side in size)
    for covered, side, firsts in zip((rows, columns), patch, starts, strict=True):
        positions = torch.as_tensor(firsts, device=device)[:, None] + torch.arange(side, device=device)
        covered.scatter_add_(0, positions.flatten(), covered.new_ones(()).expand(positions.numel()))
    return 1 / (rows[:, None] * columns)[..., None]
