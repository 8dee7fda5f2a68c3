"""The precision that matrix products are computed in.

A CPU without arithmetic for bfloat16 or float16 multiplies their matrices several times as slowly as those of float32,
to which they are converted here.
"""

from collections.abc import Callable
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
def converted(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """function(*tensors), computed in the dtype of their products, in their own."""
    return function(*map(for_products, tensors)).to(tensors[0].dtype)
