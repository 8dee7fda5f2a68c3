"""Dynamic depth-wise convolution: every pixel has a kernel of its own, shared by the channels of a group.

Paper: "On the Connection between Local Attention and Dynamic Depth-wise Convolution",
https://arxiv.org/abs/2106.04263.

Legend: B batch, C channels, H W map, g groups of channels, r channels that kernels are made from, K = k * k taps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.dynamic_shapes import is_symbolic

STRIP = 2**20
"""Kernel values that are made at a time; those of a whole map would take K / (C / g) times the map's memory."""


def dynamic_depthwise(x: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor, kernel_size: int) -> Tensor:
    """x (B, C, H, W), zero outside, convolved with kernels `weight @ hidden + bias` -> (B, C, H, W), in float32.

    hidden: (B, r, H, W); weight: (g * K, r) and bias: (g * K,), taps in row-major order. Strips of rows, one after the
    other: all taps of a strip stay in the processor's cache. Its rows, as wide as those of the padded map, follow each
    other without a gap, so that a tap is one long stretch of the map.
    """
    (B, C, H, W), taps = x.shape, kernel_size**2
    groups = bias.shape[0] // taps
    margin, wide = kernel_size // 2, W + kernel_size - 1
    padded = F.pad(x, (margin,) * 4).unflatten(1, (groups, C // groups))  # (B, g, C/g, H + k - 1, W + k - 1)
    hidden = F.pad(hidden, (0, kernel_size - 1, 0, 0, 0, 1), value=1.0)  # (B, r + 1, H, W + k - 1), ones for the bias
    weight = torch.cat((weight, bias[:, None]), 1)
    rows = H if is_symbolic(B, H, W) else max(STRIP // (B * bias.shape[0] * wide), 1)
    strips = []
    for top in (0,) if is_symbolic(H) else range(0, H, rows):
        near = padded[..., top : top + rows + kernel_size - 1, :].flatten(3)
        kernels = weight @ hidden[:, :, top : top + rows].flatten(2)  # (B, g * K, R * (W + k - 1))
        out = convolve_strip(near.float(), kernels.float().unflatten(1, (groups, taps)), wide)
        strips.append(out.unflatten(3, (-1, wide))[..., :W])  # (B, g, C/g, R, W)
    return torch.cat(strips, 3).flatten(1, 2)


def convolve_strip(near: Tensor, kernels: Tensor, wide: int) -> Tensor:
    """near: (B, g, C/g, (R + k - 1) * wide); kernels: (B, g, K, R * wide) -> (B, g, C/g, R * wide).

    The last k - 1 columns of the outcome's rows mean nothing.
    """
    size = round(kernels.shape[2] ** 0.5)
    length = kernels.shape[3] - size + 1
    out = near.new_zeros(*near.shape[:3], length)
    for tap, kernel in enumerate(kernels[..., None, :length].unbind(2)):
        start = tap // size * wide + tap % size
        out.addcmul_(near[..., start : start + length], kernel)
    return F.pad(out, (0, size - 1))
