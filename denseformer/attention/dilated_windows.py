"""Dilated windows: groups of tokens that lie `dilation` apart, which span a wide region at a window's cost.

Dilation 1 gives ordinary windows; a dilation of side / group gives one grid over the whole map, as in MaxViT.

Legend: B batch, H W map, C channels, gh gw group sides, dh dw dilations, n groups per map, N = gh * gw tokens, h heads.
"""

import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.windows import Size, window_attention
from denseformer.dynamic_shapes import needs_padding, padding_to_multiple

MASKED = -3e4  # as good as -inf, finite in every floating dtype


def dilated_partition(x: Tensor, group: Size, dilation: Size) -> Tensor:
    """(B, H, W, C) -> (B, n, N, C); H must be a multiple of gh * dh, W of gw * dw."""
    B, H, W, C = x.shape
    (gh, gw), (dh, dw) = group, dilation
    x = x.view(B, H // (gh * dh), gh, dh, W // (gw * dw), gw, dw, C)
    x = x.permute(0, 1, 4, 3, 6, 2, 5, 7)  # (B, regions down, regions across, dh, dw, gh, gw, C)
    return x.reshape(B, -1, gh * gw, C)


def dilated_reverse(groups: Tensor, group: Size, dilation: Size, size: Size) -> Tensor:
    """The inverse of `dilated_partition`: (B, n, N, C) -> (B, H, W, C) with `size` = (H, W)."""
    B, C = groups.shape[0], groups.shape[-1]
    (H, W), (gh, gw), (dh, dw) = size, group, dilation
    x = groups.view(B, H // (gh * dh), W // (gw * dw), dh, dw, gh, gw, C)
    x = x.permute(0, 1, 5, 3, 2, 6, 4, 7)  # (B, regions down, gh, dh, regions across, gw, dw, C)
    return x.reshape(B, H, W, C)


def dilated_window_attention(qkv: Tensor, heads: int, *, group: Size, dilation: Size, bias: Tensor) -> Tensor:
    """Softmax attention among the tokens of each group.

    A map that does not divide into groups is padded on the right and at the bottom; padding is never attended to.

    qkv: (B, H, W, 3C), laid out (3, h, d) on the last axis; bias: (h, N, N), added to the logits -> (B, H, W, C).
    """
    _, H, W, _ = qkv.shape
    bottom, right = (padding_to_multiple(side, g * d) for side, g, d in zip((H, W), group, dilation, strict=True))
    if needs_padding(bottom, right):
        qkv = F.pad(qkv, (0, 0, 0, right, 0, bottom))
        outside = padding_mask((H, W), (bottom, right), qkv)
        bias = bias + dilated_partition(outside, group, dilation)[0, :, None, None, :, 0]  # (n, h, N, N)
    out = window_attention(dilated_partition(qkv, group, dilation), heads, bias)
    return dilated_reverse(out, group, dilation, (H + bottom, W + right))[:, :H, :W]


def padding_mask(size: Size, padding: Size, like: Tensor) -> Tensor:
    """(1, H, W, 1) after padding at the bottom and on the right: 0 inside `size`, `MASKED` on the padding."""
    mask = like.new_full((1, size[0] + padding[0], size[1] + padding[1], 1), MASKED)
    mask[:, : size[0], : size[1]] = 0
    return mask
