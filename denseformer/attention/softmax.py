"""Softmax attention over many small windows, by whichever kernel is fastest for their type.

Legend: n windows, h heads, N queries and M keys of a window, d head width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.chunked import ChunkedAttention


def window_softmax_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """softmax(scale * q k^T + bias) v inside each window, scale = d ** -0.5 unless given.

    q: (n, h, N, d); k, v: (n, h, M, d); bias: broadcastable to (n, h, N, M), with 1 or n as its first side ->
    (n, N, h * d). On a processor the fused kernel is slow in bfloat16, and without a gradient for the bias: explicit
    products take its place there, a few windows at a time.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    learned = bias is not None and bias.requires_grad and torch.is_grad_enabled()
    unfused = q.dtype == torch.bfloat16 or (learned and q.dtype != torch.float16)
    if unfused and q.device.type == 'cpu' and not torch.compiler.is_compiling():
        attend = ChunkedAttention.apply if torch.is_grad_enabled() else ChunkedAttention.forward
        out = attend(q, k, v, bias, scale)
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return out.transpose(1, 2).flatten(2)  # (n, N, h * d)
