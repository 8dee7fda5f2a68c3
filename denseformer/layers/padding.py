"""Padding of maps to sizes an operator needs."""

import torch.nn.functional as F
from torch import Tensor


def missing(size: int, multiple: int) -> int:
    """How much `size` lacks to the next multiple of `multiple`."""
    return -size % multiple


def pad_to_multiple(x: Tensor, multiple: int | tuple[int, int]) -> Tensor:
    """Zero-pad a channel-last map on the right and at the bottom: (B, H, W, C) -> (B, H', W', C)."""
    rows, columns = (multiple, multiple) if isinstance(multiple, int) else multiple
    bottom, right = missing(x.shape[1], rows), missing(x.shape[2], columns)
    return F.pad(x, (0, 0, 0, right, 0, bottom)) if bottom or right else x


def pad_image_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Zero-pad an image or channel-first map on the right and at the bottom: (B, C, H, W) -> (B, C, H', W')."""
    bottom, right = missing(image.shape[2], multiple), missing(image.shape[3], multiple)
    return F.pad(image, (0, right, 0, bottom)) if bottom or right else image
