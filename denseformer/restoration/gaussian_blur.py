"""Separable Gaussian blur."""

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_kernel(size: int, sigma: float, like: Tensor) -> Tensor:
    """A 1-D Gaussian, (size,) with an odd size, of sum 1, of the type and on the device of `like`."""
    position = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    kernel = torch.exp(-position.square() / (2 * sigma**2))
    return kernel / kernel.sum()


def blur_valid(images: Tensor, kernel: Tensor) -> Tensor:
    """Blur without padding: (B, C, H, W), kernel (size,) -> (B, C, H - size + 1, W - size + 1)."""
    channels = images.shape[1]
    for window in (kernel[:, None], kernel[None]):
        images = F.conv2d(images, window.expand(channels, 1, -1, -1), groups=channels)
    return images
