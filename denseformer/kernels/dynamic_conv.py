"""Dynamic depth-wise convolution in strips of rows, so that the kernels of all pixels never exist at once.

Legend: B batch, C channels, H W map, g groups of channels, r channels that kernels are made from, K = k * k offsets.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.kernels.switch import enabled, is_tracing

STRIP = 1 << 20
"""Kernel values that are made at a time; those of a whole map would take K / (C / g) times the map's memory."""


def applies() -> bool:
    return enabled() and not is_tracing()


def dynamic_depthwise(x: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor, kernel_size: int) -> Tensor:
    """x (B, C, H, W), zero outside, convolved with kernels `weight @ hidden + bias` -> (B, C, H, W).

    hidden: (B, r, H, W); weight: (g * K, r) and bias: (g * K,). The rows of a strip, as wide as those of the padded
    map, follow each other without a gap, so that an offset is one long stretch of the map. Sums are taken in float32 at
    least.
    """
    (B, C, H, W), offsets = x.shape, kernel_size**2
    groups = bias.shape[0] // offsets
    margin, wide = kernel_size // 2, W + kernel_size - 1
    padded = F.pad(x.contiguous(), (margin,) * 4).unflatten(
        1, (groups, C // groups)
    )  # (B, g, C/g, H + k - 1, W + k - 1)
    hidden = F.pad(
        hidden.contiguous(), (0, kernel_size - 1, 0, 0, 0, 1), value=1.0
    )  # (B, r + 1, H, W + k - 1), ones for the bias
    weight = torch.cat((weight, bias[:, None]), 1)
    rows = max(STRIP // (B * bias.shape[0] * wide), 1)
    exact = torch.promote_types(x.dtype, torch.float32)
    strips = []
    for top in range(0, H, rows):
        near = padded[..., top : top + rows + kernel_size - 1, :].flatten(3)
        kernels = weight @ hidden[:, :, top : top + rows].flatten(2)  # (B, g * K, R * (W + k - 1))
        out = convolve_strip(near.to(exact), kernels.to(exact).unflatten(1, (groups, offsets)), wide)
        strips.append(out.unflatten(3, (-1, wide))[..., :W].to(x.dtype))  # (B, g, C/g, R, W)
    return torch.cat(strips, 3).flatten(1, 2)


def convolve_strip(near: Tensor, kernels: Tensor, wide: int) -> Tensor:
    """near: (B, g, C/g, (R + k - 1) * wide); kernels: (B, g, K, R * wide) -> (B, g, C/g, R * wide).

    The last k - 1 columns of the outcome's rows mean nothing.
    """
    size = round(kernels.shape[2] ** 0.5)
    length = kernels.shape[3] - size + 1
    out = near.new_zeros(*near.shape[:3], length)
    for offset, kernel in enumerate(kernels[..., None, :length].unbind(2)):
        start = offset // size * wide + offset % size
        out.addcmul_(near[..., start : start + length], kernel)
    return F.pad(out, (0, size - 1))
