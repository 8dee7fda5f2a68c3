"""Overlapping patches: cutting them out of a map wherever they start, and averaging them back into it.

Unlike windows they need not tile the map: a side is covered by patches at any ascending starts, the last of which
ends where the side ends.

Legend: B batch, H W map, C channels, ph pw patch sides, n patches per map, N = ph * pw tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.cache import remember

Size = tuple[int, int]
Starts = tuple[tuple[int, ...], tuple[int, ...]]
"""Where patches start: rows, columns."""


def stepped_starts(side: int, patch: int, step: int) -> tuple[int, ...]:
    """Starts `step` apart, the last one moved back so that its patch ends with the side; patch <= side."""
    count = -(-(side - patch) // step) + 1 if side > patch else 1
    return tuple(min(i * step, side - patch) for i in range(count))


def extract_patches(x: Tensor, patch: Size, starts: Starts) -> Tensor:
    """(B, H, W, C) -> (B, n, N, C), patches in row-major order."""
    B, H, W, C = x.shape
    index = patch_index((H, W), patch, starts, x.device)
    return take_tokens(x.reshape(B, H * W, C), index.expand(B, -1)).view(B, -1, patch[0] * patch[1], C)


def average_patches(patches: Tensor, patch: Size, starts: Starts, size: Size) -> Tensor:
    """(B, n, N, C) -> (B, H, W, C) with `size` = (H, W): the mean of all patches that cover a token."""
    (H, W), (ph, pw), (tops, lefts) = size, patch, starts
    B, C = patches.shape[0], patches.shape[-1]
    patches = patches.view(B, len(tops), len(lefts), ph, pw, C)
    rows = patches.new_zeros(B, len(tops), ph, W, C)
    for i, left in enumerate(lefts):
        rows[:, :, :, left : left + pw] += patches[:, :, i]
    total = patches.new_zeros(B, H, W, C)
    for i, top in enumerate(tops):
        total[:, top : top + ph] += rows[:, i]
    return total * patch_share(size, patch, starts, total.device).to(total.dtype)


def take_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Rows of each sequence: tokens (B, N, C), index (B, M) into its N -> (B, M, C)."""
    B, N, C = tokens.shape
    first = torch.arange(0, B * N, N, device=index.device)[:, None]
    return F.embedding(index + first, tokens.reshape(B * N, C))  # its backward is the fastest of all gathers


@remember(maxsize=64)
def patch_index(size: Size, patch: Size, starts: Starts, device: torch.device) -> Tensor:
    """(n * N,) positions in the flattened map of all tokens of all patches."""
    rows, columns = (
        torch.tensor(first, device=device)[:, None] + torch.arange(side, device=device)
        for first, side in zip(starts, patch, strict=True)
    )
    return (rows[:, None, :, None] * size[1] + columns[None, :, None, :]).flatten()


@remember(maxsize=64)
def patch_share(size: Size, patch: Size, starts: Starts, device: torch.device) -> Tensor:
    """(H, W, 1): one over the number of patches that cover a token."""
    rows, columns = (torch.zeros(side, device=device) for side in size)
    for covered, side, firsts in zip((rows, columns), patch, starts, strict=True):
        for first in firsts:
            covered[first : first + side] += 1
    return 1 / (rows[:, None] * columns)[..., None]
