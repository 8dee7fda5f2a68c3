"""Position-wise networks."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.attention.projection import (
    by_rows,
    input_gradient,
    is_exact_gelu,
    onednn_type,
    parameter_gradients,
    project,
)
from denseformer.layers.conv import DepthwiseConv
from denseformer.layers.linear import Linear


class Mlp(nn.Module):
    """Linear, activation, Linear on the last axis: (..., C) -> (..., C)."""

    def __init__(self, dim: int, hidden: int, act: Callable[[], nn.Module] = nn.GELU):
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.act = act()
        self.fc2 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        dtype = onednn_type(x, self.fc1.weight)
        if dtype is None or not torch.is_grad_enabled() or not self.is_plain():
            return self.fc2(self.fc1(x, self.act))
        return by_rows(GeluMlp.apply, x.to(dtype), self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)

    def is_plain(self) -> bool:
        """Whether the layers, called one by one, would do just what `GeluMlp` does: no hooks, nothing put in place."""
        layers = (self.fc1, self.fc2)
        hooked = any(layer._forward_pre_hooks or layer._forward_hooks or layer._backward_hooks for layer in layers)
        return is_exact_gelu(self.act) and all(type(layer) is Linear for layer in layers) and not hooked


class GeluMlp(torch.autograd.Function):
    """gelu(x W1^T + b1) W2^T + b2 that keeps one hidden map of two, and whose backward pass makes one of two anew.

    x: (R, C); weights: (hidden, C) and (K, hidden); biases: (hidden,) and (K,) -> (R, K).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        hidden = project(x, weight1, bias1)
        ctx.save_for_backward(x, hidden, weight1, bias1, weight2)
        return project(F.gelu(hidden), weight2, bias2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, hidden, weight1, bias1, weight2 = ctx.saved_tensors
        needed, again = ctx.needs_input_grad, torch.is_grad_enabled()
        if again:  # this gradient will be differentiated itself, so all must follow from the inputs
            hidden = F.linear(x, weight1.to(x.dtype), bias1.to(x.dtype))
        second = parameter_gradients(grad, F.gelu(hidden), needed[3:])
        grad_hidden = input_gradient(grad, weight2)
        place = {} if again else {'grad_input': grad_hidden}
        grad_hidden = torch.ops.aten.gelu_backward(grad_hidden, hidden, **place)
        first = parameter_gradients(grad_hidden, x, needed[1:3])
        return input_gradient(grad_hidden, weight1) if needed[0] else None, *first, *second


class ConvMlp(nn.Module):
    """An MLP with a 3 x 3 depth-wise convolution on its hidden map: (B, H, W, C) -> the same.

    The convolution stands before GELU, as in PVT v2; `residual` puts it behind, added to what it is applied to.
    """

    def __init__(self, dim: int, hidden: int, residual: bool = False):
        super().__init__()
        self.residual = residual
        self.fc1 = Linear(dim, hidden)
        self.act = nn.GELU()
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        if self.residual:
            x = self.act(x)
            return self.fc2(x + self.dwconv(x))
        return self.fc2(self.act(self.dwconv(x)))
