"""Softmax attention over many small windows, by whichever kernel is fastest for their type.

Legend: n windows, h heads, N queries and M keys of a window, d head width.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.kernels.chunked_attention import ChunkedAttention, attend
from denseformer.kernels.tracing import is_tracing


def window_softmax_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """softmax(scale * q k^T + bias) v inside each window, scale = d ** -0.5 unless given.

    q: (n, h, N, d); k, v: (n, h, M, d); bias: broadcastable to (n, h, N, M), with 1 or n as its first side ->
    (n, N, h * d).
    """
    return segmented_attention(q, k, v, [q.shape[0]], [bias], scale)


def segmented_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    counts: Sequence[int],
    biases: Sequence[Tensor | None],
    scale: float | None = None,
) -> Tensor:
    """The same where the windows come in runs of `counts`, each with a bias or None of its own.

    On a processor the fused kernel is slow in bfloat16, and without a gradient for the bias: explicit products take
    its place there, a few windows at a time.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    learned = any(bias is not None and bias.requires_grad for bias in biases) and torch.is_grad_enabled()
    unfused = q.dtype == torch.bfloat16 or (learned and q.dtype != torch.float16)
    if unfused and q.device.type == 'cpu' and not is_tracing():
        if torch.is_grad_enabled():
            out = ChunkedAttention.apply(q, k, v, scale, counts, *biases)
        else:
            out = attend(q, k, v, scale, counts, biases)
    else:
        runs = [(q, k, v)] if len(biases) == 1 else zip(*(x.split(list(counts)) for x in (q, k, v)), strict=True)
        outs = [
            F.scaled_dot_product_attention(run_q, run_k, run_v, attn_mask=bias, scale=scale)
            for (run_q, run_k, run_v), bias in zip(runs, biases, strict=True)
        ]
        out = outs[0] if len(outs) == 1 else torch.cat(outs)
    return out.transpose(1, 2).flatten(2)  # (n, N, h * d)
