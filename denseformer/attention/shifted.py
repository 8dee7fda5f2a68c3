"""Attention in windows that are shifted cyclically, as in Swin, without copying the map more than once each way.

Tokens are gathered window by window, and the windows in up to four segments: those inside the map, and those at its
bottom edge, right edge and corner, which the shift makes of two or four separate regions. One mask serves each segment,
so masks stay small however large the map is.

Legend: B batch, H W map, C channels, n windows of all maps together, N tokens of a window, h heads, d head width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.softmax import segmented_attention
from denseformer.attention.windows import Shift, Size, shift_mask, window_partition
from denseformer.caching import cached_constant
from denseformer.dynamic_shapes import is_symbolic, needs_padding, padding_to_multiple


@dataclass(frozen=True)
class WindowPlan:
    """order: positions of the tokens in the padded maps, window by window; inverse: (B * H * W,) where each went.

    padding: rows at the bottom and columns on the right that fill up the last windows; segments: how many successive
    windows have which mask, (1, N, N) for all of them or (windows, N, N), None where they need none.
    """

    order: Tensor
    inverse: Tensor
    padding: Size
    segments: tuple[tuple[int, Tensor | None], ...]


@cached_constant(maxsize=32)
def plan_windows(batch: int, size: Size, window: Size, shift: Shift, device: torch.device) -> WindowPlan:
    """The plan that cuts (B, H, W, C) maps, padded to a multiple of the window, into windows after a cyclic shift."""
    wh, ww = window
    padding = padding_to_multiple(size[0], wh), padding_to_multiple(size[1], ww)
    H, W = size[0] + padding[0], size[1] + padding[1]
    positions = torch.arange(batch * H * W, device=device).view(batch, H, W, 1)
    positions = rolled(positions, shift)
    positions = window_partition(positions, window).view(batch, H // wh, W // ww, wh * ww)
    parts: list[Tensor] = [positions]
    masks: list[Tensor | None] = [None]
    if is_symbolic(batch, *size) and (isinstance(shift[0], Tensor) or any(shift)):
        masks = [shift_mask((H, W), window, shift, device, torch.float32)[:, 0].repeat(batch, 1, 1)]
    elif any(shift):
        last = (slice(None, -1), slice(-1, None))
        corners = [(i, j) for i in (0, 1) for j in (0, 1)]
        parts = [positions[:, last[i], last[j]] for i, j in corners]
        mask = shift_mask((2 * wh, 2 * ww), window, shift, device, torch.float32)  # (4, 1, N, N)
        masks = [mask[2 * i + j] if i or j else None for i, j in corners]
    order = torch.cat([part.flatten() for part in parts])
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(order.shape[0], device=device)
    sizes = [math.prod(part.shape[:3]) for part in parts]
    inverse = inverse.view(batch, H, W)[:, : size[0], : size[1]].flatten()
    segments = tuple((n, mask) for n, mask in zip(sizes, masks, strict=True) if is_symbolic(n) or n)
    return WindowPlan(order, inverse, padding, segments)


def rolled(x: Tensor, shift: Shift) -> Tensor:
    """Roll (B, H, W, C) maps to the top and to the left."""
    rows, columns = shift
    if not isinstance(rows, Tensor) or not isinstance(columns, Tensor):
        return x.roll((-rows, -columns), (1, 2))
    for axis, step in ((1, rows), (2, columns)):
        side = x.shape[axis]
        source = torch.arange(side, device=x.device) + step
        x = x.index_select(axis, torch.where(source >= side, source - side, source))
    return x


def gather_windows(x: Tensor, plan: WindowPlan, tokens: int) -> Tensor:
    """(B, H, W, C) -> (n, N, C), N = `tokens`; zeros where the maps are padded. C may be several axes."""
    if needs_padding(*plan.padding):
        x = F.pad(x, (0, 0, 0, plan.padding[1], 0, plan.padding[0]))
    x = x.flatten(0, 2).index_select(0, plan.order)
    return x.view(-1, tokens, x[0].numel())


def scatter_windows(windows: Tensor, plan: WindowPlan, batch: int, size: Size) -> Tensor:
    """The inverse of `gather_windows`: (n, N, C) -> (B, H, W, C)."""
    return windows.flatten(0, 1).index_select(0, plan.inverse).view(batch, *size, -1)


def planned_attention(qkv: Tensor, heads: int, bias: Tensor | None, plan: WindowPlan) -> Tensor:
    """qkv: (n, N, 3C), laid out (3, h, d) on the last axis; bias: (h, N, N), added to the logits -> (n, N, C)."""
    q, k, v = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # each (n, h, N, d)
    sizes, masks = zip(*plan.segments, strict=True)
    return segmented_attention(q, k, v, sizes, [segment_bias(bias, mask, q.dtype) for mask in masks])


def segment_bias(bias: Tensor | None, mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Position bias (h, N, N), mask (1 or n, N, N), or both, as what a segment's logits get: (1 or n, h or 1, N, N)."""
    if mask is None:
        return None if bias is None else bias[None].to(dtype)
    mask = mask[:, None].to(dtype)
    return mask if bias is None else bias[None].to(dtype) + mask
