"""Small-kernel aggregation: every pixel has 3 x 3 kernels of its own, which channels share in turn.

Paper: "LSNet: See Large, Focus Small", https://arxiv.org/abs/2503.23135.

Legend: B batch, C channels, G kernels of a pixel, K = k * k taps, H W map.
"""

import torch.nn.functional as F
from torch import Tensor


def small_kernel_aggregation(x: Tensor, kernels: Tensor) -> Tensor:
    """x (B, C, H, W), zero outside, convolved depth-wise with each pixel's kernels; channel c uses kernel c % G.

    kernels: (B, G, K, H, W), taps in row-major order, C a multiple of G -> (B, C, H, W).
    """
    H, W = x.shape[2:]
    size = round(kernels.shape[2] ** 0.5)
    margin = size // 2
    near = F.pad(x, (margin,) * 4).unflatten(1, (-1, kernels.shape[1]))  # (B, C/G, G, H + k - 1, W + k - 1)
    out = x.new_zeros(()).to(kernels.dtype)
    for tap, kernel in enumerate(kernels[:, None].unbind(3)):  # each (B, 1, G, H, W)
        row, column = tap // size, tap % size
        out = out + near[..., row : row + H, column : column + W] * kernel
    return out.flatten(1, 2)
