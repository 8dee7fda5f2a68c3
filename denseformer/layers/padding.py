"""Padding of maps to sizes an operator needs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.dynamic_shapes import needs_padding, padding_to_multiple, reflect


def pad_to_multiple(x: Tensor, multiple: int | tuple[int, int]) -> Tensor:
    """Zero-pad a channel-last map on the right and at the bottom: (B, H, W, C) -> (B, H', W', C)."""
    rows, columns = (multiple, multiple) if isinstance(multiple, int) else multiple
    bottom, right = padding_to_multiple(x.shape[1], rows), padding_to_multiple(x.shape[2], columns)
    return F.pad(x, (0, 0, 0, right, 0, bottom)) if needs_padding(bottom, right) else x


def pad_image_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Zero-pad an image or channel-first map on the right and at the bottom: (B, C, H, W) -> (B, C, H', W')."""
    bottom, right = padding_to_multiple(image.shape[2], multiple), padding_to_multiple(image.shape[3], multiple)
    return F.pad(image, (0, right, 0, bottom)) if needs_padding(bottom, right) else image


def pad_image_around(image: Tensor, multiple: int) -> Tensor:
    """Zero-pad an image by the same on opposite sides, or a pixel more on the right and at the bottom, to a multiple.

    (B, C, H, W) -> (B, C, H', W').
    """
    rows, columns = (padding_to_multiple(side, multiple) for side in image.shape[2:])
    if not needs_padding(rows, columns):
        return image
    return F.pad(image, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


def reflect_image_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Reflect an image on the right and at the bottom: (B, C, H, W) -> (B, C, H', W'), multiples of `multiple`."""
    H, W = image.shape[2:]
    return reflect_image_to(image, (H + padding_to_multiple(H, multiple), W + padding_to_multiple(W, multiple)))


def reflect_image_to(image: Tensor, target: tuple[int, int]) -> Tensor:
    """Reflect an image on the right and at the bottom up to a size: (B, C, H, W) -> (B, C, *target).

    A side too short for the padding is reflected to and fro as often as needed; a single row or column is repeated.
    """
    for axis, length in zip((2, 3), target, strict=True):
        side = image.shape[axis]
        if needs_padding(length - side):
            image = image.index_select(axis, reflect(torch.arange(length, device=image.device), side))
    return image


def reflect_margin(image: Tensor, before: int, after: int) -> Tensor:
    """Reflect an image at the top and on the left by `before` pixels, at the bottom and on the right by `after`.

    A side too short for the padding is reflected to and fro: (B, C, H, W) -> (B, C, H + before + after, ..).
    """
    for axis in (2, 3):
        side = image.shape[axis]
        image = image.index_select(axis, reflect(torch.arange(-before, side + after, device=image.device), side))
    return image
