"""Gaussian blur in two passes, down the columns and along the rows."""

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_taps(size: int, sigma: float, like: Tensor) -> Tensor:
    """(size,), an odd number of taps that add up to 1, of the type and on the device of `like`."""
    position = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    taps = torch.exp(-position.square() / (2 * sigma**2))
    return taps / taps.sum()


def blur_inside(images: Tensor, taps: Tensor) -> Tensor:
    """Only where the window lies wholly inside: (B, C, H, W), (size,) -> (B, C, H - size + 1, W - size + 1)."""
    channels = images.shape[1]
    for window in (taps[:, None], taps[None]):
        images = F.conv2d(images, window.expand(channels, 1, -1, -1), groups=channels)
    return images
