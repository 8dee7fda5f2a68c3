"""Super tokens: pixels are gathered softly into a coarse grid, and what the grid has learned is handed back to them.

Legend: B batch, H W map, s side of a cell, Hs Ws grid of super tokens, P = s * s pixels per cell, T = 9, C channels.
"""

import torch
from torch import Tensor

from denseformer.attention.neighbors_3x3 import fold_3x3, shifts_3x3
from denseformer.attention.windows import window_partition, window_reverse


def neighboring_tokens(tokens: Tensor) -> Tensor:
    """The 3 x 3 super tokens around every cell, 0 outside the grid: (B, Hs, Ws, C) -> (B, Hs * Ws, T, C)."""
    return torch.stack(list(shifts_3x3(tokens)), 3).flatten(1, 2)


def gather_super_tokens(x: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """x: (B, H, W, C), sides multiples of `cell` -> super tokens (B, Hs, Ws, C), associations (B, Hs * Ws, P, T).

    Every pixel is shared out among the 9 super tokens around its cell, by a softmax of its similarity to the cells'
    means, which takes no gradient; a super token is the mean of its pixels by their shares.
    """
    B, H, W, C = x.shape
    grid = H // cell, W // cell
    pixels = window_partition(x, (cell, cell))  # (B, Hs*Ws, P, C)
    with torch.no_grad():
        means = neighboring_tokens(pixels.mean(2).view(B, *grid, C))
        shares = (pixels @ means.transpose(2, 3) * C**-0.5).softmax(-1)  # (B, Hs*Ws, P, T)
        mass = fold_3x3(shares.sum(2).view(B, *grid, 9, 1))  # (B, Hs, Ws, 1)
    tokens = fold_3x3((shares.to(pixels.dtype).transpose(2, 3) @ pixels).view(B, *grid, 9, C))
    return tokens / (mass + 1e-12), shares


def scatter_super_tokens(tokens: Tensor, shares: Tensor, cell: int) -> Tensor:
    """Hand each pixel its shares of the super tokens around it: (B, Hs, Ws, C) -> (B, H, W, C)."""
    size = tokens.shape[1] * cell, tokens.shape[2] * cell
    return window_reverse(shares.to(tokens.dtype) @ neighboring_tokens(tokens), (cell, cell), size)
