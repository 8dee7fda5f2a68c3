"""Groups: windows whose tokens lie `interval` apart, so that a group spans a wide region at a window's cost.

Interval 1 gives ordinary windows; an interval of side / group gives one grid over the whole map.

Legend: B batch, H W map, C channels, gh gw group sides, ih iw intervals, n groups per map, N = gh * gw tokens, h heads.
"""

import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.windows import Size, window_attention
from denseformer.dynamic_shapes import missing, needs_padding

MASKED = -3e4  # as good as -inf, finite in every floating dtype


def dilated_partition(x: Tensor, group: Size, interval: Size) -> Tensor:
    """(B, H, W, C) -> (B, n, N, C); H must be a multiple of gh * ih, W of gw * iw."""
    B, H, W, C = x.shape
    (gh, gw), (ih, iw) = group, interval
    x = x.view(B, H // (gh * ih), gh, ih, W // (gw * iw), gw, iw, C)
    x = x.permute(0, 1, 4, 3, 6, 2, 5, 7)  # (B, regions down, regions across, ih, iw, gh, gw, C)
    return x.reshape(B, -1, gh * gw, C)


def dilated_reverse(groups: Tensor, group: Size, interval: Size, size: Size) -> Tensor:
    """The inverse of `dilated_partition`: (B, n, N, C) -> (B, H, W, C) with `size` = (H, W)."""
    B, C = groups.shape[0], groups.shape[-1]
    (H, W), (gh, gw), (ih, iw) = size, group, interval
    x = groups.view(B, H // (gh * ih), W // (gw * iw), ih, iw, gh, gw, C)
    x = x.permute(0, 1, 5, 3, 2, 6, 4, 7)  # (B, regions down, gh, ih, regions across, gw, iw, C)
    return x.reshape(B, H, W, C)


def dilated_window_attention(qkv: Tensor, heads: int, *, group: Size, interval: Size, bias: Tensor) -> Tensor:
    """Softmax attention among the tokens of each group.

    A map that does not divide into groups is padded on the right and at the bottom; padding is never attended to.

    qkv: (B, H, W, 3C), laid out (3, h, d) on the last axis; bias: (h, N, N), added to the logits -> (B, H, W, C).
    """
    _, H, W, _ = qkv.shape
    bottom, right = (missing(side, g * i) for side, g, i in zip((H, W), group, interval, strict=True))
    if needs_padding(bottom, right):
        qkv = F.pad(qkv, (0, 0, 0, right, 0, bottom))
        outside = padding_mask((H, W), (bottom, right), qkv)
        bias = bias + dilated_partition(outside, group, interval)[0, :, None, None, :, 0]  # (n, h, N, N)
    out = window_attention(dilated_partition(qkv, group, interval), heads, bias)
    return dilated_reverse(out, group, interval, (H + bottom, W + right))[:, :H, :W]


def padding_mask(size: Size, padding: Size, like: Tensor) -> Tensor:
    """(1, H, W, 1) after padding at the bottom and on the right: 0 inside `size`, `MASKED` on the padding."""
    mask = like.new_full((1, size[0] + padding[0], size[1] + padding[1], 1), MASKED)
    mask[:, : size[0], : size[1]] = 0
    return mask
