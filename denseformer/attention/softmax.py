"""Softmax attention over many small windows, by whichever kernel is fastest for their size and type.

Legend: n windows, h heads, N queries and M keys of a window, d head width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SCORE_BYTES = 1 << 21
"""How much room the scores of one chunk of windows may take: they should not leave the processor's cache."""
SMALL_WINDOW = 64


def window_softmax_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """softmax(scale * q k^T + bias) v inside each window, scale = d ** -0.5 unless given.

    q: (n, h, N, d); k, v: (n, h, M, d); bias: broadcastable to (n, h, N, M), with 1 or n as its first side ->
    (n, N, h * d). The fused kernel is slow on a processor for small windows and in bfloat16: predictions then take
    explicit products, a few windows at a time.
    """
    small = q.shape[2] <= SMALL_WINDOW or q.dtype == torch.bfloat16
    predicting = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
    if q.device.type == 'cpu' and predicting and small and q.dtype != torch.float16:
        out = chunked_attention(q, k, v, bias, q.shape[-1] ** -0.5 if scale is None else scale)
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return out.transpose(1, 2).flatten(2)  # (n, N, h * d)


def chunked_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """The same in explicit products, so many windows at a time as `SCORE_BYTES` allow: -> (n, h, N, d)."""
    n, h, N, _ = q.shape
    chunk = max(1, SCORE_BYTES // (h * N * k.shape[2] * q.element_size()))
    out = v.new_empty(n, N, h, v.shape[3]).transpose(1, 2)  # (n, h, N, d)
    for i in range(0, n, chunk):
        part = slice(i, i + chunk)
        scores = torch.matmul(q[part] * scale, k[part].transpose(2, 3))
        if bias is not None:
            scores += bias if bias.shape[0] == 1 else bias[part]
        out[part] = torch.matmul(scores.softmax(-1), v[part])
    return out
