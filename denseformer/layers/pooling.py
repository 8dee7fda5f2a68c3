"""Adaptive pooling that can be traced for dynamic sizes.

Legend: B batch, C channels, H W map, h w cells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.dynamic_shapes import is_symbolic


def average_to_grid(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The mean of each cell of a grid, cut as `F.adaptive_avg_pool2d` cuts it: (B, C, H, W) -> (B, C, h, w).

    PyTorch's own is for known sizes: of a map of dynamic size it cannot tell how many positions a cell has.
    """
    H, W = x.shape[2:]
    if not is_symbolic(H, W):
        return F.adaptive_avg_pool2d(x, size)
    rows, columns = (cell_shares(cells, side, x) for cells, side in zip(size, (H, W), strict=True))
    return rows @ x @ columns.T


def cell_shares(cells: int, side: int, like: Tensor) -> Tensor:
    """(cells, side): what each position counts in the mean of each cell, from floor(i L / n) to ceil((i + 1) L / n)."""
    cell, position = torch.arange(cells, device=like.device)[:, None], torch.arange(side, device=like.device)
    first, last = cell * side // cells, ((cell + 1) * side + cells - 1) // cells
    inside = ((position >= first) & (position < last)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)
