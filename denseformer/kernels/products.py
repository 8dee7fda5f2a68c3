"""The precision that matrix products are computed in.

A CPU without arithmetic for bfloat16 or float16 multiplies their matrices several times as slowly as those of float32,
to which they are converted here.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from denseformer.kernels.double_backward import gradients_of
from denseformer.kernels.switch import use

Arguments = ParamSpec('Arguments')
Result = TypeVar('Result')
ONEDNN: Any = torch.ops.mkldnn if torch.backends.mkldnn.is_available() else None
"""PyTorch's operators of oneDNN; None in a PyTorch without it."""
HAS_BFLOAT16 = hasattr(ONEDNN, '_is_mkldnn_bf16_supported') and ONEDNN._is_mkldnn_bf16_supported()
"""Whether this CPU has arithmetic for bfloat16; few have it for float16."""
CHUNK = 1 << 18
"""Numbers that are converted at a time, where they can be taken apart."""


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype that products of `x` are computed in."""
    slow = x.dtype is torch.float16 or (x.dtype is torch.bfloat16 and not HAS_BFLOAT16)
    return torch.float32 if slow and x.device.type == 'cpu' else x.dtype


def without_autocast(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function as it computes on a CPU where autocast is off.

    `torch.autocast` as a decorator keeps its state between calls, which threads would take from one another.
    """

    @wraps(function)
    def run(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        with torch.autocast('cpu', enabled=False):
            return function(*args, **options)

    return run


@without_autocast
def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a b in the precision of a."""
    return (for_products(a) @ for_products(b)).to(a.dtype)


def for_products(x: Tensor) -> Tensor:
    """`x`, or on a CPU that lacks arithmetic for its dtype a copy in float32."""
    return x.to(product_dtype(x))


def is_converted(x: Tensor) -> bool:
    """Whether products of `x` are computed in another dtype."""
    return product_dtype(x) is not x.dtype


def applies(x: Tensor) -> bool:
    return is_converted(x) and use(x)


def converted_heads(
    attention: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, biases: Sequence[Tensor | None]
) -> Tensor:
    """attention(q, k, v, biases=biases) computed in the dtype of its products, some heads at a time, in that of q.

    q: (n, h, N, d); k: (n, h, M, d); v: (n, h, M, e); biases: broadcastable to (size, h, N, M), or None
    -> (n, h, N, e).
    """
    if torch.is_grad_enabled():
        return ConvertedHeads.apply(attention, q, k, v, *biases)
    return by_heads(attention, q, k, v, *biases)


class ConvertedHeads(torch.autograd.Function):
    """Saves queries, keys and values as they are, and computes the attention again for its gradient."""

    @staticmethod
    def forward(ctx: Any, attention: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
        ctx.attention = attention
        ctx.save_for_backward(*inputs)
        return by_heads(attention, *inputs)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        if torch.is_grad_enabled():  # this gradient will be differentiated itself, which fused attention cannot be
            with sdpa_kernel(SDPBackend.MATH):
                return None, *gradients_of(partial(by_heads, ctx.attention), inputs, grad)
        needed = ctx.needs_input_grad[1:]
        totals = [torch.zeros_like(x) if need else None for x, need in zip(inputs, needed, strict=True)]
        for part in head_parts(*inputs[:3]):
            places = [None if total is None else of_heads(total, part) for total in totals]
            leaves = [None if x is None else for_products(of_heads(x, part)).detach() for x in inputs]
            sources = [leaf.requires_grad_() for leaf, place in zip(leaves, places, strict=True) if place is not None]
            with torch.enable_grad():
                out = ctx.attention(*leaves[:3], biases=leaves[3:])
            found = torch.autograd.grad(out, sources, for_products(of_heads(grad, part)))
            for place, gradient in zip((place for place in places if place is not None), found, strict=True):
                place += gradient
        return None, *totals


@without_autocast
def by_heads(attention: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, *biases: Tensor | None) -> Tensor:
    """`converted_heads`, in operators that PyTorch differentiates."""
    outs = []
    for part in head_parts(q, k, v):
        maps = (for_products(of_heads(x, part)) for x in (q, k, v))
        out = attention(*maps, biases=[None if bias is None else for_products(of_heads(bias, part)) for bias in biases])
        outs.append(out.to(q.dtype).transpose(1, 2))
    return torch.cat(outs, 2).transpose(1, 2)


def blocks(length: int, size: int) -> Iterator[slice]:
    """Slices of nearly one length, which is `size` at the most and one at the least."""
    size = even_size(length, size)
    return (slice(start, start + size) for start in range(0, length, size))


def equal_blocks(length: int, size: int) -> Iterator[slice]:
    """`blocks` of one length, of which the last may overlap: oneDNN compiles, and keeps, a product for each shape."""
    size = even_size(length, size)
    starts = (min(start, length - size) for start in range(0, length, size))
    return (slice(start, start + size) for start in starts)


def even_size(length: int, size: int) -> int:
    """The length of as few parts as have `size` at the most, and one at the least."""
    parts = -(-length // max(size, 1))
    return -(-length // parts) if parts else 1


def head_parts(q: Tensor, k: Tensor, v: Tensor) -> Iterator[slice]:
    """Heads that are converted at a time."""
    return blocks(q.shape[1], CHUNK * q.shape[1] // max(q.numel() + k.numel() + v.numel(), 1))


def of_heads(x: Tensor, part: slice) -> Tensor:
    """Some heads of a map (n, h, N, d), or of a bias that is broadcastable to (size, h, N, M)."""
    return x[..., part, :, :] if x.dim() > 2 and x.shape[-3] > 1 else x
