"""Softmax attention over many windows in explicit products, a few windows at a time, and its gradient.

Legend: n windows, h heads, N queries and M keys of a window, d head width.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SCORE_BYTES = 1 << 21
"""How much room the scores of one chunk of windows may take: they should not leave the processor's cache."""


class ChunkedAttention(torch.autograd.Function):
    """softmax(scale * q k^T + bias) v; the backward pass keeps the inputs alone and computes the probabilities again.

    q: (n, h, N, d); k, v: (n, h, M, d); bias: broadcastable to (n, h, N, M), with 1 or n as its first side ->
    (n, h, N, d).
    """

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
        out = empty_maps(v, q.shape[2])
        for part in chunks(q, k):
            out[part] = probabilities(q, k, bias, scale, part) @ v[part]
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        *tensors, ctx.scale = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, bias = ctx.saved_tensors
        grad_q, grad_k, grad_v = (empty_maps(x, x.shape[2]) for x in (q, k, v))
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if ctx.needs_input_grad[3] else None
        for part in chunks(q, k):
            weights = probabilities(q, k, bias, ctx.scale, part)
            grad_v[part] = weights.mT @ grad[part]
            grad_scores = torch._softmax_backward_data(grad[part] @ v[part].mT, weights, -1, weights.dtype)
            grad_q[part] = grad_scores @ (k[part] * ctx.scale)
            grad_k[part] = grad_scores.mT @ (q[part] * ctx.scale)
            if grad_bias is not None:
                total = grad_bias if bias.shape[0] == 1 else grad_bias[part]
                total += grad_scores.sum_to_size(total.shape)
        return grad_q, grad_k, grad_v, None if grad_bias is None else grad_bias.to(bias.dtype), None


def chunks(q: Tensor, k: Tensor) -> Iterator[slice]:
    n, h, N, _ = q.shape
    size = max(1, SCORE_BYTES // (h * N * k.shape[2] * q.element_size()))
    return (slice(i, i + size) for i in range(0, n, size))


def probabilities(q: Tensor, k: Tensor, bias: Tensor | None, scale: float, part: slice) -> Tensor:
    """Of the windows `part`: (windows, h, N, M)."""
    scores = torch.matmul(q[part] * scale, k[part].mT)
    if bias is not None:
        scores += bias if bias.shape[0] == 1 else bias[part]
    return scores.softmax(-1)


def empty_maps(like: Tensor, tokens: int) -> Tensor:
    """(n, h, tokens, d) whose heads lie side by side in memory, as projections have them."""
    n, h, _, d = like.shape
    return like.new_empty(n, tokens, h, d).transpose(1, 2)
