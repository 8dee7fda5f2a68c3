"""Softmax attention over many windows in explicit products, a few windows at a time, and its gradient.

In bfloat16 exponentials are taken without the maximum subtracted, and their sums divide the outcome instead of the
probabilities: on a processor faster than its softmax, and nearer to the exact result.

Legend: n windows, h heads, N queries and M keys of a window, d head width.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SCORE_BYTES = 1 << 21
"""How much room the scores of one chunk of windows may take: they should not leave the processor's cache."""
SAFE_SUM = 1e30
"""Sums of exponentials between this and its inverse have neither overflowed nor vanished."""
LOG2_E = math.log2(math.e)


class ChunkedAttention(torch.autograd.Function):
    """softmax(scale * q k^T + bias) v; the backward pass keeps the inputs alone and computes the probabilities again.

    q: (n, h, N, d); k, v: (n, h, M, d); bias: broadcastable to (n, h, N, M), with 1 or n as its first side ->
    (n, h, N, d).
    """

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
        out = empty_maps(v, q.shape[2])
        for part in chunks(q, k):
            out[part] = attend(q, k, v, bias, scale, part)
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
        grad_bias = None
        if ctx.needs_input_grad[3]:
            grad_bias = torch.zeros_like(bias, dtype=torch.promote_types(bias.dtype, torch.float32))
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


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, part: slice) -> Tensor:
    """In the windows `part`: (windows, h, N, d)."""
    if q.dtype is not torch.bfloat16:
        return probabilities(q, k, bias, scale, part) @ v[part]
    shape = q[part].shape[:3]
    weights = exponentials(q, k, bias, scale, part)  # (windows*h, N, M)
    sums = weights.sum(-1, keepdim=True)
    if not are_safe(sums):
        bias = None if bias is None else bias.float()
        return (probabilities(q.float(), k.float(), bias, scale, part) @ v[part].float()).to(q.dtype)
    out = torch.bmm(weights, v[part].flatten(0, 1))
    return out.div_(sums.expand_as(out).contiguous()).view(*shape, -1)  # dividing short rows one by one is slow


def are_safe(sums: Tensor) -> bool:
    """Whether sums of exponentials have neither overflowed nor vanished, which scores within +-60 cannot."""
    smallest, largest = (value.item() for value in torch.aminmax(sums))
    return 1 / SAFE_SUM < smallest <= largest < SAFE_SUM


def exponentials(q: Tensor, k: Tensor, bias: Tensor | None, scale: float, part: slice) -> Tensor:
    """Of the scores in the windows `part`: (windows * h, N, M). Powers of 2 are the faster ones."""
    *shape, _ = q[part].shape
    scores = q.new_empty(*shape, k.shape[2])  # (windows, h, N, M)
    if bias is not None:
        scores.copy_(bias if bias.shape[0] == 1 else bias[part])
    q, k = (x[part].flatten(0, 1) for x in (q, k))
    products = scores.flatten(0, 1).baddbmm_(q, k.mT, beta=0 if bias is None else LOG2_E, alpha=scale * LOG2_E)
    return products.exp2_()


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
