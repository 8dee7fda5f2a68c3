"""Position-wise networks."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.kernels.linear import (
    flatten_rows,
    input_gradient,
    is_exact_gelu,
    onednn_dtype,
    parameter_gradients,
    project,
)
from denseformer.layers.conv import DepthwiseConv
from denseformer.layers.drop_path import DropPath
from denseformer.layers.linear import Linear, Pointwise
from denseformer.layers.norm import LayerNorm
from denseformer.layers.scale import accumulate_scaled, keeps_dtype

HIDDEN_NUMBERS = 1 << 20
"""Of a hidden map at a time where rows are predicted part by part: they stay in the processor's cache."""


class Mlp(nn.Module):
    """Linear, activation, Linear on the last axis: (..., C) -> (..., C)."""

    linear: ClassVar[type[Linear]] = Linear

    def __init__(self, dim: int, hidden: int, act: Callable[[], nn.Module] = nn.GELU):
        super().__init__()
        self.fc1 = self.linear(dim, hidden)
        self.act = act()
        self.fc2 = self.linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        dtype = onednn_dtype(x, self.fc1.weight)
        if dtype is None or not torch.is_grad_enabled() or not self.is_plain():
            return self.fc2(self.fc1(x, self.act))
        return flatten_rows(GeluMlp.apply, x.to(dtype), self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)

    def is_plain(self) -> bool:
        """Whether the layers, called one by one, would do just what `GeluMlp` does: no hooks, nothing put in place."""
        layers = (self.fc1, self.fc2)
        plain = all(type(layer) is self.linear and not is_hooked(layer) for layer in layers)
        return plain and is_exact_gelu(self.act)


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

    linear: ClassVar[type[Linear]] = Linear

    def __init__(self, dim: int, hidden: int, residual: bool = False):
        super().__init__()
        self.residual = residual
        self.fc1 = self.linear(dim, hidden)
        self.act = nn.GELU()
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = self.linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        if self.residual:
            x = self.act(x)
            return self.fc2(x + self.dwconv(x))
        return self.fc2(self.act(self.dwconv(x)))


class ChannelFirst(nn.Module):
    """Mixed in before an MLP: it takes channel-first maps, and its layers stand for 1 x 1 convolutions."""

    linear = Pointwise

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Mlp2d(ChannelFirst, Mlp):
    """`Mlp` at each position of a channel-first map: (B, C, H, W) -> the same."""


class ConvMlp2d(ChannelFirst, ConvMlp):
    """`ConvMlp` of a channel-first map: (B, C, H, W) -> the same."""


def accumulate_mlp(
    x: Tensor, norm: nn.Module, mlp: nn.Module, gamma: Tensor | None = None, drop_path: DropPath | None = None
) -> Tensor:
    """x + mlp(norm(x)) * gamma, of an `x` (..., C) that nobody reads again, the branch dropped as `drop_path` has it.

    A processor predicts an MLP and LayerNorm some rows at a time and adds them to x at once, so that no map between is
    ever whole: large images take less memory, and the operating system need not clear its pages.
    """
    if predicts_by_rows(x, norm, mlp, gamma):
        rows = x.view(-1, x.shape[-1])
        for part in rows.chunk(-(-len(rows) * mlp.fc1.out_features // HIDDEN_NUMBERS)):
            accumulate_scaled(part, mlp(norm(part)), gamma)
        return x
    branch = mlp(norm(x))
    return accumulate_scaled(x, branch if drop_path is None else drop_path(branch), gamma)


def predicts_by_rows(x: Tensor, norm: nn.Module, mlp: nn.Module, gamma: Tensor | None) -> bool:
    layers = type(mlp) is Mlp and type(norm) in (nn.LayerNorm, LayerNorm) and mlp.is_plain()
    if not layers or mlp.training or torch.is_grad_enabled() or is_hooked(mlp) or is_hooked(norm):
        return False
    dtype = onednn_dtype(x, mlp.fc1.weight)
    return dtype is not None and keeps_dtype(x, dtype, gamma) and x.is_contiguous()


def is_hooked(layer: nn.Module) -> bool:
    return bool(layer._forward_pre_hooks or layer._forward_hooks or layer._backward_hooks)
