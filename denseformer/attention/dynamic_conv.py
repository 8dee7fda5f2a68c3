"""Dynamic depth-wise convolution: every pixel has a kernel of its own, shared by the channels of a group.

Paper: "On the Connection between Local Attention and Dynamic Depth-wise Convolution",
https://arxiv.org/abs/2106.04263.

Legend: B batch, C channels, H W map, g groups of channels, r channels that kernels are made from, K = k * k taps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

STRIP = 2**21
"""Kernel values that are made at a time; those of a whole map would take K / (C / g) times the map's memory."""


def dynamic_depthwise(x: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor, kernel_size: int) -> Tensor:
    """x (B, C, H, W), zero outside, convolved with kernels `weight @ hidden + bias` -> (B, C, H, W).

    hidden: (B, r, H, W); weight: (g * K, r) and bias: (g * K,), taps in row-major order. Strips of rows, one after the
    other: all taps of a strip stay in the processor's cache.
    """
    (B, C, H, W), taps = x.shape, kernel_size**2
    groups = len(bias) // taps
    margin = kernel_size // 2
    padded = F.pad(x, (margin,) * 4).unflatten(1, (groups, C // groups))  # (B, g, C/g, H + k - 1, W + k - 1)
    rows = max(STRIP // (B * len(bias) * W), 1)
    strips = []
    for top in range(0, H, rows):
        near = padded[..., top : top + rows + kernel_size - 1, :]
        strips.append(convolve_strip(near, make_kernels(hidden[:, :, top : top + rows], weight, bias, groups)))
    return torch.cat(strips, 3).flatten(1, 2)


def make_kernels(hidden: Tensor, weight: Tensor, bias: Tensor, groups: int) -> Tensor:
    """(B, r, R, W) -> (B, g, K, 1, R, W), in float32."""
    kernels = (weight @ hidden.flatten(2)).float() + bias.float()[:, None]
    return kernels.view(len(hidden), groups, -1, 1, *hidden.shape[2:])


def convolve_strip(near: Tensor, kernels: Tensor) -> Tensor:
    """near: (B, g, C/g, R + k - 1, W + k - 1); kernels: (B, g, K, 1, R, W) -> (B, g, C/g, R, W)."""
    rows, columns = kernels.shape[-2:]
    size = round(kernels.shape[2] ** 0.5)
    near = near.float()
    out = near.new_zeros(*near.shape[:3], rows, columns)
    for tap, kernel in enumerate(kernels.unbind(2)):
        top, left = divmod(tap, size)
        out.addcmul_(near[..., top : top + rows, left : left + columns], kernel)
    return out
