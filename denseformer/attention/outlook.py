"""Outlook attention: a token says, without being compared, how its neighbors see each other.

Legend: B batch, H W map, C channels, h w map of windows, T = 9 positions of a window, n heads, d head width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.dynamic_shapes import ceil_div


def outlook_attention(logits: Tensor, v: Tensor) -> Tensor:
    """Softmax of given logits inside 3 x 3 windows around every second token; overlapping windows add up.

    logits: (B, h, w, n * T * T), h = ceil(H / 2), w = ceil(W / 2), laid out (n, T queries, T keys) on the last axis;
    v: (B, H, W, C) -> (B, H, W, C).
    """
    H, W, C = v.shape[1:]
    heads = logits.shape[-1] // 81
    weights = logits.unflatten(-1, (heads, 9, 9)).softmax(-1)
    out = weights.to(v.dtype) @ strided_windows(v.unflatten(3, (heads, C // heads)))  # (B, h, w, n, T, d)
    rows = fold_axis(out.unflatten(4, (3, 3)), 1)  # (B, 2h + 2, w, n, 3, d)
    return fold_axis(rows, 2)[:, 1 : 1 + H, 1 : 1 + W].flatten(3)


def strided_windows(x: Tensor) -> Tensor:
    """3 x 3 windows around every second position, 0 outside the map: (B, H, W, n, d) -> (B, h, w, n, T, d)."""
    rows, columns = (2 * ceil_div(side, 2) for side in x.shape[1:3])
    x = F.pad(x, (0, 0, 0, 0, 1, 1, 1, 1))
    return torch.stack([x[:, i : i + rows - 1 : 2, j : j + columns - 1 : 2] for i in range(3) for j in range(3)], -2)


def fold_axis(x: Tensor, axis: int) -> Tensor:
    """Sums what windows of 3 around every second position say of each position of the padded `axis`.

    x: axis 4 holds the positions of a window, 3 of them, and is summed away; `axis` grows from n windows to 2n + 2.
    """
    first, middle, last = x.unbind(4)
    after, before = ((0, 0) * (first.ndim - 1 - axis) + side for side in ((0, 1), (1, 0)))
    even, odd = F.pad(first, after) + F.pad(last, before), F.pad(middle, after)
    return torch.stack([even, odd], axis + 1).flatten(axis, axis + 1)
