"""Dynamic depth-wise convolution: every pixel has a kernel of its own, shared by the channels of a group.

Paper: "On the Connection between Local Attention and Dynamic Depth-wise Convolution",
https://arxiv.org/abs/2106.04263.

Legend: B batch, C channels, H W map, g groups of channels, r channels that kernels are made from, K = k * k offsets.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer import kernels


def dynamic_depthwise(x: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor, kernel_size: int) -> Tensor:
    """x (B, C, H, W), zero outside, convolved with kernels `weight @ hidden + bias` -> (B, C, H, W).

    hidden: (B, r, H, W); weight: (g * K, r) and bias: (g * K,), offsets in row-major order. Sums are taken in float32
    at least.
    """
    if kernels.dynamic_conv.applies():
        return kernels.dynamic_conv.dynamic_depthwise(x, hidden, weight, bias, kernel_size)
    (H, W), groups = x.shape[2:], bias.shape[0] // kernel_size**2
    made = weight @ hidden.flatten(2) + bias[:, None]  # (B, g * K, H * W)
    wide = torch.promote_types(x.dtype, torch.float32)
    made = made.to(wide).unflatten(1, (groups, 1, -1)).unflatten(-1, (H, W))  # (B, g, 1, K, H, W)
    padded = F.pad(x.to(wide), (kernel_size // 2,) * 4).unflatten(1, (groups, -1))  # (B, g, C/g, H + k - 1, W + k - 1)
    places = [(row, column) for row in range(kernel_size) for column in range(kernel_size)]
    shifted = (padded[..., row : row + H, column : column + W] for row, column in places)
    out = sum(near * kernel for near, kernel in zip(shifted, made.unbind(3), strict=True))
    return out.flatten(1, 2).to(x.dtype)
