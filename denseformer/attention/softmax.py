"""Softmax attention over many windows, all at once or in segments that each have a bias of their own.

Legend: n windows, h heads, N queries and M keys of a window, d head width, e width of the values.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer import kernels


def window_softmax_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """softmax(scale * q k^T + bias) v inside each window, scale = d ** -0.5 unless given.

    q: (n, h, N, d); k: (n, h, M, d); v: (n, h, M, e); bias: broadcastable to (n, h, N, M), with 1 or n as its first
    side -> (n, N, h * e).
    """
    return segmented_attention(q, k, v, [q.shape[0]], [bias], scale)


def capped_attention(q: Tensor, k: Tensor, v: Tensor, cap: float, scale: float | None = None) -> Tensor:
    """softmax(cap * tanh(scale * q k^T / cap)) v, whose logits stay between -cap and cap; shapes as above."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    logits = cap * torch.tanh((q * scale) @ k.transpose(-2, -1) / cap)
    return (logits.softmax(-1) @ v).transpose(1, 2).flatten(2)  # (n, N, h * e)


def segmented_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    sizes: Sequence[int],
    biases: Sequence[Tensor | None],
    scale: float | None = None,
) -> Tensor:
    """`window_softmax_attention` of windows in segments: sizes[i] windows with biases[i], which may be None."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    out = segment_by_segment(q, k, v, sizes=sizes, biases=biases, scale=scale)
    return out.transpose(1, 2).flatten(2)  # (n, N, h * e)


def segment_by_segment(
    q: Tensor, k: Tensor, v: Tensor, *, sizes: Sequence[int], biases: Sequence[Tensor | None], scale: float
) -> Tensor:
    """(n, h, N, d), (n, h, M, d), (n, h, M, e) -> (n, h, N, e)."""
    if kernels.attention.applies(q, k, biases):
        return kernels.attention.chunked_attention(q, k, v, scale, sizes, biases)
    if kernels.padded_heads.applies(q, v):
        attention = partial(segment_by_segment, sizes=sizes, biases=biases, scale=scale)
        return kernels.padded_heads.with_equal_heads(attention, q, k, v)
    if kernels.products.applies(q):
        attention = partial(segment_by_segment, sizes=sizes, scale=scale)
        return kernels.products.converted_heads(attention, q, k, v, biases)
    if len(sizes) == 1:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=biases[0], scale=scale)
    parts = zip(*(x.split(list(sizes)) for x in (q, k, v)), biases, strict=True)
    return torch.cat([F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale) for q, k, v, bias in parts])
