"""Overlapping windows: queries of a window attend to the keys of a larger one around it.

Legend: B batch, H W map, C channels, w query window, W' key window, n windows, N = w * w queries, M = W' * W' keys.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.caching import cached_constant


def overlapping_windows(x: Tensor, window: int, overlap: int) -> Tensor:
    """The larger windows around each window, zero outside the map: (B, H, W, C) -> (B * n, M, C).

    overlap: how much longer a side of the larger windows is, in all; even. H and W are multiples of `window`.
    """
    margin = overlap // 2
    return sliding_windows(F.pad(x, (0, 0, margin, margin, margin, margin)), window + overlap, window)


def sliding_windows(x: Tensor, side: int, stride: int) -> Tensor:
    """All windows of a side that begin at multiples of `stride`: (B, H, W, C) -> (B * n, side * side, C)."""
    x = x.unfold(1, side, stride).unfold(2, side, stride)  # (B, rows, columns, C, side, side)
    return x.permute(0, 1, 2, 4, 5, 3).reshape(-1, side * side, x.shape[3])


@cached_constant(maxsize=16)
def overlap_position_index(window: int, overlap: int) -> Tensor:
    """(N, M) index of the offset key - query into a table of (2 w + overlap - 1) ** 2 rows, as HAT numbers them.

    Offsets left of or above every query's number below zero and count from the table's end. Held on the CPU.
    """
    queries, keys = (
        torch.cartesian_prod(torch.arange(side, device='cpu'), torch.arange(side, device='cpu'))
        for side in (window, window + overlap)
    )
    offset = keys[None] - queries[:, None] - overlap + 1  # (N, M, 2)
    side = 2 * window + overlap - 1
    return (offset[..., 0] * side + offset[..., 1]) % side**2
