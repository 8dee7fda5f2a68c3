"""Depth-wise convolutions with wide kernels, whose gradient in bfloat16 PyTorch computes slowly on CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from denseformer.kernels.switch import use

WIDE_KERNEL = 7
"""Kernel size from which the gradient is slow."""
MANY_WEIGHTS = 1 << 15
"""Number of weights from which the gradient is slow for maps whose channels come last."""


def applies(x: Tensor, weight: Tensor) -> bool:
    wide = weight.shape[-1] >= WIDE_KERNEL and precision(x) is torch.bfloat16
    return wide and torch.is_grad_enabled() and use(x)


def precision(x: Tensor) -> torch.dtype:
    """The dtype that a convolution of `x` computes in."""
    return torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else x.dtype


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution that keeps the size: x (B, C, H, W); weight (C, 1, k, k); bias (C,) or None -> like x."""
    return WideDepthwiseConv.apply(x.to(precision(x)), weight, bias)


class WideDepthwiseConv(torch.autograd.Function):
    """Takes its gradient in float32, which is faster, and of channel-first maps where there are many weights."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        bias = None if bias is None else bias.to(x.dtype)
        return F.conv2d(x, weight.to(x.dtype), bias, padding=weight.shape[-1] // 2, groups=x.shape[1])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        channels, padding = x.shape[1], [weight.shape[-1] // 2] * 2
        layout = torch.contiguous_format if weight.numel() > MANY_WEIGHTS else torch.channels_last
        wide = torch.promote_types(x.dtype, torch.float32)
        maps = (map_.to(wide).contiguous(memory_format=layout) for map_ in (grad, x))
        shape = [channels], [1, 1], padding, [1, 1], False, [0, 0], channels
        return torch.ops.aten.convolution_backward(*maps, weight.to(wide), *shape, list(ctx.needs_input_grad))
