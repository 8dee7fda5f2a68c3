"""Linear layers through oneDNN, where it is faster than MKL, which PyTorch calls, and those of bfloat16 on every CPU.

In float32 oneDNN is faster on CPUs with AVX-512: MKL reaches two thirds of its speed where the output is wide and the
CPU not Intel's. On an AMD EPYC with AVX2 alone, MKL was the faster one by a tenth. Where a CPU has no arithmetic for
bfloat16, products are computed in float32, a part at a time.

Legend: R rows, C channels in, K channels out.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.kernels.products import (
    CHUNK,
    HAS_BFLOAT16,
    blocks,
    for_products,
    is_converted,
    matmul,
    product_dtype,
    without_autocast,
)
from denseformer.kernels.switch import use

ONEDNN: Any = getattr(torch.ops.mkldnn, '_linear_pointwise', None) if torch.backends.mkldnn.is_available() else None
"""The operator through which PyTorch's compiler calls oneDNN; None in a PyTorch without it."""
ONEDNN_DTYPES = {torch.float32} if ONEDNN and torch.backends.cpu.get_cpu_capability() == 'AVX512' else set()
if ONEDNN and HAS_BFLOAT16:
    ONEDNN_DTYPES.add(torch.bfloat16)
AUTOCAST_DTYPES = {torch.float32, torch.bfloat16, torch.float16}
"""The dtypes that autocast converts; it leaves float64 and integers as they are."""
MANY_ROWS = 1024
"""From how many rows on a float32 gradient gains by oneDNN's product, which wants the weight transposed first."""


def applies(x: Tensor, weight: Tensor) -> bool:
    return use(x) and precision(x, weight) in {torch.bfloat16, *ONEDNN_DTYPES}


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + b: (..., C), (K, C), (K,) -> (..., K), in autocast's precision where it is on."""
    x = x.to(precision(x, weight))
    if torch.is_grad_enabled():
        return flatten_rows(OnednnLinear.apply, x, weight, bias)
    return product(x, weight, bias)


def precision(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """The precision that a linear layer computes in, None where its parts do not agree."""
    if torch.is_autocast_enabled('cpu'):
        return torch.get_autocast_dtype('cpu') if {x.dtype, weight.dtype} <= AUTOCAST_DTYPES else None
    return x.dtype if x.dtype is weight.dtype else None


def flatten_rows(function: Callable[..., Tensor], x: Tensor, *parameters: Tensor | None) -> Tensor:
    """`function` of rows (R, C) and parameters, applied to a map: (..., C) -> (..., K)."""
    out = function(x.reshape(-1, x.shape[-1]), *parameters)
    return out.view(*x.shape[:-1], out.shape[-1])


class OnednnLinear(torch.autograd.Function):
    """x W^T + b in the precision of x: (R, C), (K, C), (K,) -> (R, K).

    Of a weight in another precision the original alone is kept; the backward pass converts it again.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return product(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = input_gradient(grad, weight) if ctx.needs_input_grad[0] else None
        return grad_x, *parameter_gradients(grad, x, ctx.needs_input_grad[1:])


def product(x: Tensor, weight: Tensor, bias: Tensor | None, act: str = 'none') -> Tensor:
    """act(x W^T + b) in the precision of x, without a gradient, by what is faster; act: 'none' or 'gelu'."""
    if is_converted(x):
        return converted_product(x, weight, bias, act)
    weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
    if x.dtype in ONEDNN_DTYPES:
        return ONEDNN(x.contiguous(), weight, bias, act, [], 'none')
    out = F.linear(x, weight, bias)
    return F.gelu(out) if act == 'gelu' else out


@without_autocast
def converted_product(x: Tensor, weight: Tensor, bias: Tensor | None, act: str) -> Tensor:
    """`product` in float32, so many outputs and rows at a time that little is converted at once."""
    out = x.new_empty(*x.shape[:-1], len(weight))
    rows, out_rows = x.reshape(-1, x.shape[-1]), out.view(-1, len(weight))
    for outputs in blocks(len(weight), CHUNK // x.shape[-1]):
        part_weight = rounded(weight[outputs], x.dtype)
        part_bias = None if bias is None else rounded(bias[outputs], x.dtype)
        for part in blocks(len(rows), CHUNK // max(part_weight.shape)):
            out_rows[part, outputs] = product(for_products(rows[part]), part_weight, part_bias, act)
    return out


def rounded(parameter: Tensor, dtype: torch.dtype) -> Tensor:
    """A parameter as `dtype` has it, for products on a CPU that lacks arithmetic for that."""
    return for_products(parameter.to(dtype))


def input_gradient(grad: Tensor, weight: Tensor) -> Tensor:
    """Gradient of x W^T + b w.r.t. x, freshly allocated: (R, K), (K, C) -> (R, C)."""
    if torch.is_grad_enabled():  # it will be differentiated itself
        return matmul(grad, weight.to(grad.dtype))
    if is_converted(grad):
        return product(grad, weight.T, None)
    weight = weight.to(grad.dtype)
    many = grad.dtype is torch.float32 and grad.dtype in ONEDNN_DTYPES and len(grad) >= MANY_ROWS
    return product(grad, weight.T.contiguous(), None) if many else matmul(grad, weight)


def parameter_gradients(grad: Tensor, x: Tensor, needed: tuple[bool, bool]) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of x W^T + b w.r.t. W and b where they are `needed`: (R, K), (R, C) -> (K, C), (K,)."""
    return weight_gradient(grad, x) if needed[0] else None, grad.sum(0) if needed[1] else None


@without_autocast
def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """(R, K), (R, C) -> (K, C), summed in float32 over some rows at a time where products are converted."""
    if torch.is_grad_enabled() or not is_converted(grad):
        return matmul(grad.T, x)
    total = grad.new_zeros(grad.shape[1], x.shape[1], dtype=product_dtype(grad))
    for part in blocks(len(x), CHUNK // max(total.shape)):
        total.addmm_(for_products(grad[part]).T, for_products(x[part]))
    return total.to(grad.dtype)
