"""Windows: cutting maps into them, attending inside them, and the tables and masks that go with it.

Legend: B batch, H W map, C channels, wh ww window sides, n windows per map, N = wh * ww tokens, h heads, d head width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.softmax import window_softmax_attention
from denseformer.caching import cached_constant

Size = tuple[int, int]
Shift = Size | tuple[Tensor, Tensor]
"""Rows and columns; tensors where they depend on sides that are symbols."""
CPU = torch.device('cpu')


def window_partition(x: Tensor, window: Size) -> Tensor:
    """(B, H, W, C) -> (B, n, N, C), windows in row-major order; H and W must be multiples of the window's sides."""
    B, H, W, C = x.shape
    wh, ww = window
    x = x.view(B, H // wh, wh, W // ww, ww, C).transpose(2, 3)  # (B, H/wh, W/ww, wh, ww, C)
    return x.reshape(B, -1, wh * ww, C)


def window_reverse(windows: Tensor, window: Size, size: Size) -> Tensor:
    """The inverse of `window_partition`: (B, n, N, C) -> (B, H, W, C) with `size` = (H, W)."""
    B, C = windows.shape[0], windows.shape[-1]
    (H, W), (wh, ww) = size, window
    x = windows.view(B, H // wh, W // ww, wh, ww, C).transpose(2, 3)  # (B, H/wh, wh, W/ww, ww, C)
    return x.reshape(B, H, W, C)


def window_attention(qkv: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Softmax attention inside each window.

    qkv: (B, n, N, 3C), laid out (3, h, d) on the last axis; bias: added to the logits, broadcastable to (n, h, N, N),
    e.g. a position bias (h, N, N), a mask (n, 1, N, N), or their sum -> (B, n, N, C).
    """
    B, n, N, _ = qkv.shape
    if bias is not None:
        bias = bias[(None,) * (4 - bias.ndim)].to(qkv.dtype)
        bias = bias.repeat(B, 1, 1, 1) if bias.shape[0] > 1 else bias  # (B*n or 1, h, N, N)
    q, k, v = qkv.reshape(B * n, N, 3, heads, -1).permute(2, 0, 3, 1, 4)  # each (B*n, h, N, d)
    return window_softmax_attention(q, k, v, bias).view(B, n, N, -1)


@cached_constant(32)
def shift_mask(size: Size, window: Size, shift: Shift, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(n, 1, N, N): 0 between tokens that were neighbors before a cyclic shift by `shift`, -100 between the others.

    size: (H, W) of the map, already a multiple of the window. Shared by all callers; do not write to it.
    """
    rows, columns = (
        _regions(torch.arange(side, device=device), side, w, s) for side, w, s in zip(size, window, shift, strict=True)
    )
    regions = window_partition((3 * rows[:, None] + columns)[None, :, :, None], window)[0, ..., 0]  # (n, N)
    apart = regions[:, None, :] != regions[:, :, None]
    return apart.to(dtype).mul(-100.0)[:, None]


def _regions(position: Tensor, side: int, window: int, shift: int | Tensor) -> Tensor:
    """0 outside the last window of an axis, 1 in it before what the shift brought in, 2 from there on."""
    return (position >= side - window).long() + (position >= side - shift)


@cached_constant(32)
def relative_position_index(window: Size, device: torch.device = CPU) -> Tensor:
    """(N, N) index of the offset query - key into a table of ((2 wh - 1) * (2 ww - 1)) rows, row-major, as in Swin.

    Shared by all callers; do not write to it.
    """
    wh, ww = window
    coords = torch.cartesian_prod(torch.arange(wh, device=device), torch.arange(ww, device=device))  # (N, 2)
    offset = coords[:, None] - coords[None] + torch.tensor([wh - 1, ww - 1], device=device)
    return offset[..., 0] * (2 * ww - 1) + offset[..., 1]


@cached_constant(32)
def distance_index(window: Size, device: torch.device = CPU) -> Tensor:
    """(N, N) index of the distances (|dy|, |dx|) of query and key into a table of wh * ww rows, row-major, as in LeViT.

    Shared by all callers; do not write to it.
    """
    wh, ww = window
    coords = torch.cartesian_prod(torch.arange(wh, device=device), torch.arange(ww, device=device))  # (N, 2)
    distance = (coords[:, None] - coords[None]).abs()
    return distance[..., 0] * ww + distance[..., 1]


def position_bias(table: Tensor, window: Size) -> Tensor:
    """A table of ((2 wh - 1) * (2 ww - 1), h) rows -> the bias (h, N, N)."""
    index = relative_position_index(window, table.device)
    return table.T.contiguous().index_select(1, index.flatten()).view(-1, *index.shape)


def resize_position_table(table: Tensor, rows: int, mode: str = 'bicubic') -> Tensor:
    """Resize a square table of relative positions: (s * s, h) -> (rows, h); bicubically, as Swin and BEiT do."""
    if table.shape[0] == rows:
        return table
    source, target = round(table.shape[0] ** 0.5), round(rows**0.5)
    grid = table.T.reshape(1, -1, source, source).float()
    grid = F.interpolate(grid, size=(target, target), mode=mode, align_corners=False)
    return grid.flatten(2)[0].T.to(table.dtype)
