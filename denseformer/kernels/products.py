"""The precision that matrix products are computed in.

A CPU without arithmetic for bfloat16 or float16 multiplies their matrices several times as slowly as those of float32,
to which they are converted here.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

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


def applies(x: Tensor) -> bool:
    return product_dtype(x) is not x.dtype and use(x)


@without_autocast
def converted_heads(
    attention: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, biases: Sequence[Tensor | None]
) -> Tensor:
    """attention(q, k, v, biases=biases) computed in the dtype of its products, some heads at a time, in that of q.

    q: (n, h, N, d); k: (n, h, M, d); v: (n, h, M, e); biases: broadcastable to (size, h, N, M), or None
    -> (n, h, N, e).
    """
    heads = q.shape[1]
    size = max(CHUNK * heads // max(q.numel() + k.numel() + v.numel(), 1), 1)
    outs = []
    for first in range(0, heads, size):
        part = slice(first, first + size)
        maps = (for_products(x[:, part]) for x in (q, k, v))
        out = attention(*maps, biases=[None if bias is None else for_products(of_heads(bias, part)) for bias in biases])
        outs.append(out.to(q.dtype).transpose(1, 2))
    return torch.cat(outs, 2).transpose(1, 2)


def of_heads(bias: Tensor, part: slice) -> Tensor:
    """The bias of some heads, from one that is broadcastable to (size, h, N, M)."""
    return bias[..., part, :, :] if bias.dim() > 2 and bias.shape[-3] > 1 else bias
