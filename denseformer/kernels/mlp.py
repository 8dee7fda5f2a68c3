"""MLPs with exact GELU: less memory for the gradient, and no whole hidden map in a prediction.

Legend: R rows, C channels in, K channels out.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.kernels.linear import (
    flatten_rows,
    input_gradient,
    parameter_gradients,
    precision,
    product,
    rounded,
)
from denseformer.kernels.products import blocks, equal_blocks, for_products, is_converted, without_autocast
from denseformer.kernels.switch import is_plain, use

CHUNK = 1 << 20
"""Numbers of a hidden map that are predicted at a time: a chunk stays in the L2 and L3 caches."""
CONVERTED_ROWS, CONVERTED_CHANNELS = 512, 256
"""The part of the hidden map that is predicted at a time where products are computed in another precision."""


def applies(x: Tensor, fc1: nn.Module, act: nn.Module, fc2: nn.Module, kind: type[nn.Linear]) -> bool:
    """Whether `fc2(act(fc1(x)))` is what this kernel computes, both layers being plain ones of that kind."""
    return is_plain(fc1, kind) and applies_behind(x, act, fc2, kind)


def applies_behind(x: Tensor, act: nn.Module, fc2: nn.Module, kind: type[nn.Linear]) -> bool:
    """Whether `fc2(act(x))` is what `gelu_linear` computes, the layer being a plain one of that kind."""
    layers = is_plain(fc2, kind) and is_plain(act, nn.GELU)
    known = precision(x, fc2.weight) in (torch.float32, torch.bfloat16)
    return layers and act.approximate == 'none' and known and use(x)


def gelu_mlp(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """gelu(x W1^T + b1) W2^T + b2: (..., C) -> (..., K), weights (hidden, C) and (K, hidden)."""
    x = x.to(precision(x, weight1))
    function = GeluMlp.apply if torch.is_grad_enabled() else predict
    return flatten_rows(function, x, weight1, bias1, weight2, bias2)


def gelu_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """gelu(x) W^T + b: (..., C), (K, C), (K,) -> (..., K)."""
    x = x.to(precision(x, weight))
    function = GeluLinear.apply if torch.is_grad_enabled() else predict_linear
    return flatten_rows(function, x, weight, bias)


def predict_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`gelu_linear` of rows, (R, C) -> (R, K), some of them at a time and without a gradient."""
    out = x.new_empty(len(x), len(weight))
    for rows in equal_blocks(len(x), CHUNK // weight.shape[1]):
        out[rows] = product(F.gelu(x[rows]), weight, bias)
    return out


def predict(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """The MLP of rows, (R, C) -> (R, K), some of them at a time and without a gradient."""
    if is_converted(x):
        return predict_converted(x, weight1, bias1, weight2, bias2)
    weight1, weight2 = weight1.to(x.dtype), weight2.to(x.dtype)
    out = x.new_empty(len(x), len(weight2))
    for rows in equal_blocks(len(x), CHUNK // len(weight1)):
        out[rows] = product(product(x[rows], weight1, bias1, 'gelu'), weight2, bias2)
    return out


@without_autocast
def predict_converted(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """`predict` in float32, some rows and hidden channels at a time; their map is not rounded to the precision of x."""
    out = x.new_empty(len(x), len(weight2))
    for part, part_out in zip(x.split(CONVERTED_ROWS), out.split(CONVERTED_ROWS), strict=True):
        part, total = for_products(part), rounded(bias2, x.dtype).repeat(len(part), 1)
        for hidden in blocks(len(weight1), CONVERTED_CHANNELS):
            parameters = rounded(weight1[hidden], x.dtype), rounded(bias1[hidden], x.dtype)
            total.addmm_(product(part, *parameters, 'gelu'), rounded(weight2[:, hidden], x.dtype).T)
        part_out.copy_(total)
    return out


class GeluLinear(torch.autograd.Function):
    """gelu(x) W^T + b that saves x alone: (R, C), (K, C), (K,) -> (R, K)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(F.gelu(x), weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        return gradients_behind(grad, x, weight, ctx.needs_input_grad[1:])


class GeluMlp(torch.autograd.Function):
    """gelu(x W1^T + b1) W2^T + b2 that saves one of the two hidden activations and recomputes the other.

    x: (R, C); weights: (hidden, C) and (K, hidden); biases: (hidden,) and (K,) -> (R, K).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        hidden = product(x, weight1, bias1)
        ctx.save_for_backward(x, hidden, weight1, bias1, weight2)
        return product(F.gelu(hidden), weight2, bias2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, hidden, weight1, bias1, weight2 = ctx.saved_tensors
        needed = ctx.needs_input_grad
        if torch.is_grad_enabled():  # this gradient will be differentiated itself, so all must follow from the inputs
            hidden = F.linear(x, weight1.to(x.dtype), bias1.to(x.dtype))
        grad_hidden, *second = gradients_behind(grad, hidden, weight2, needed[3:])
        first = parameter_gradients(grad_hidden, x, needed[1:3])
        return input_gradient(grad_hidden, weight1) if needed[0] else None, *first, *second


def gradients_behind(
    grad: Tensor, hidden: Tensor, weight: Tensor, needed: tuple[bool, bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of gelu(hidden) W^T + b w.r.t. hidden, and w.r.t. W and b where they are `needed`."""
    parameters = parameter_gradients(grad, F.gelu(hidden), needed)
    grad_hidden = input_gradient(grad, weight)
    place = {} if torch.is_grad_enabled() else {'grad_input': grad_hidden}
    return torch.ops.aten.gelu_backward(grad_hidden, hidden, **place), *parameters
