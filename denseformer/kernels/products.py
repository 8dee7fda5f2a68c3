"""The precision that matrix products are computed in.

A CPU without arithmetic for bfloat16 or float16 multiplies their matrices several times as slowly as those of float32,
to which they are converted here.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from denseformer.kernels.switch import use

HAS_BFLOAT16 = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Whether this CPU has arithmetic for bfloat16; few have it for float16."""


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype that products of `x` are computed in."""
    slow = x.dtype is torch.float16 or (x.dtype is torch.bfloat16 and not HAS_BFLOAT16)
    return torch.float32 if slow and x.device.type == 'cpu' else x.dtype


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a b in the precision of a, autocast or not."""
    with torch.autocast(a.device.type, enabled=False):
        return (for_products(a) @ for_products(b)).to(a.dtype)


def for_products(x: Tensor) -> Tensor:
    """`x`, or on a CPU that lacks arithmetic for its dtype a copy in float32."""
    return x.to(product_dtype(x))


def applies(x: Tensor) -> bool:
    return product_dtype(x) is not x.dtype and use(x)


def converted(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """function(*tensors), computed in the dtype of their products, in their own."""
    with torch.autocast('cpu', enabled=False):
        return function(*map(for_products, tensors)).to(tensors[0].dtype)
