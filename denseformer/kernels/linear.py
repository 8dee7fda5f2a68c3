"""Linear layers that run on a processor through the fastest of PyTorch's matrix products.

Legend: R rows, C channels in, K channels out.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.caching import CachesInEval
from denseformer.kernels.tracing import is_tracing

ONEDNN_LINEAR: Any = (
    getattr(torch.ops.mkldnn, '_linear_pointwise', None) if torch.backends.mkldnn.is_available() else None
)
"""PyTorch's compiler calls oneDNN through this operator; None in a PyTorch without it."""
ONEDNN_TYPES = {torch.float32} if ONEDNN_LINEAR else set()
if ONEDNN_LINEAR and torch.ops.mkldnn._is_mkldnn_bf16_supported():
    ONEDNN_TYPES.add(torch.bfloat16)
AUTOCAST_TYPES = {torch.float32, torch.bfloat16, torch.float16}
"""What autocast converts; it leaves float64 and integers as they are."""
FEW_ROWS = 256
"""Below how many rows a converted weight is kept: the fewer share it, the more converting costs beside the product."""
MANY_ROWS = 1024
"""From how many rows on a float32 gradient gains by oneDNN's product, which wants the weight transposed first."""


class Linear(CachesInEval, nn.Linear):
    """nn.Linear, and an activation behind it: (..., C) -> (..., K).

    On a processor products go through oneDNN. In float32 PyTorch's own choice, MKL, reaches two thirds of its speed
    where the output is wide and the processor not Intel's. Under autocast a converted weight lives for one product;
    where few rows share it in a prediction, until it changes. There exact GELU is part of the product. The results
    agree to rounding.
    """

    def forward(self, x: Tensor, act: nn.Module | None = None) -> Tensor:
        dtype = onednn_dtype(x, self.weight)
        if dtype is None or torch.is_grad_enabled():
            if dtype is None:
                out = F.linear(x, self.weight, self.bias)
            else:
                out = flatten_rows(Projection.apply, x.to(dtype), self.weight, self.bias)
            return out if act is None else act(out)
        fused = 'gelu' if is_exact_gelu(act) else 'none'
        few = dtype is not self.weight.dtype and x[..., 0].numel() < FEW_ROWS
        weight = self.remembered(dtype, lambda: self.weight.to(dtype)) if few else self.weight
        out = project(x.to(dtype), weight, self.bias, fused)
        return out if act is None or fused == 'gelu' else act(out)


def flatten_rows(function: Callable[..., Tensor], x: Tensor, *parameters: Tensor | None) -> Tensor:
    """What `function` makes of the rows (R, C) and the parameters, for a map: (..., C) -> (..., K)."""
    out = function(x.reshape(-1, x.shape[-1]), *parameters)
    return out.view(*x.shape[:-1], out.shape[-1])


class Projection(torch.autograd.Function):
    """x W^T + b in the precision of x: (R, C), (K, C), (K,) -> (R, K).

    Of a weight in another precision the original alone is kept; the backward pass converts it again.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return project(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = input_gradient(grad, weight) if ctx.needs_input_grad[0] else None
        return grad_x, *parameter_gradients(grad, x, ctx.needs_input_grad[1:])


def project(x: Tensor, weight: Tensor, bias: Tensor | None, act: str = 'none') -> Tensor:
    """act(x W^T + b) in the precision of x, through oneDNN and without a gradient; act: 'none' or 'gelu'."""
    return ONEDNN_LINEAR(x.contiguous(), weight.to(x.dtype), bias, act, [], 'none')


def input_gradient(grad: Tensor, weight: Tensor) -> Tensor:
    """Of x W^T + b by x, in memory of its own: (R, K), (K, C) -> (R, C)."""
    weight = weight.to(grad.dtype)
    many = grad.dtype is torch.float32 and len(grad) >= MANY_ROWS
    if many and not torch.is_grad_enabled():  # enabled where the gradient will be differentiated itself
        return project(grad, weight.T.contiguous(), None)
    return grad @ weight


def parameter_gradients(grad: Tensor, x: Tensor, needed: tuple[bool, bool]) -> tuple[Tensor | None, Tensor | None]:
    """Of x W^T + b by W and b where they are `needed`: (R, K), (R, C) -> (K, C), (K,)."""
    return grad.T @ x if needed[0] else None, grad.sum(0) if needed[1] else None


def onednn_dtype(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """The precision in which a linear layer goes through oneDNN, None where PyTorch is left to itself."""
    if x.device.type != 'cpu' or type(x) is not Tensor or is_tracing():
        return None
    if torch.is_autocast_enabled('cpu'):
        dtype, agree = torch.get_autocast_dtype('cpu'), {x.dtype, weight.dtype} <= AUTOCAST_TYPES
    else:
        dtype, agree = x.dtype, x.dtype is weight.dtype
    return dtype if agree and dtype in ONEDNN_TYPES else None


def is_exact_gelu(act: nn.Module | None) -> bool:
    return type(act) is nn.GELU and act.approximate == 'none'
