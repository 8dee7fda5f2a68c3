"""Bicubic resizing as MATLAB's `imresize` does it, which made the low-resolution images that all papers report on.

Keys's cubic (a = -0.5), widened by the factor when an image shrinks, weights normalised, borders mirrored. Integer
images are resized along one axis and rounded, then along the other and rounded again.

Legend: H W image, C channels, L length of an axis, P positions that a sample is a sum of.
"""

import math

import numpy as np


def imresize(
    image: np.ndarray, scale: float | None = None, *, size: tuple[int, int] | None = None, round_between: bool = True
) -> np.ndarray:
    """Resize an image bicubically by a factor, 0.25 for a quarter of the side, or to a size.

    image: (H, W) or (H, W, C), of unsigned integers, which are rounded and clipped to their range, or floating, which
    are not; size: (H', W'), ceil(scale * side) by default; round_between: False keeps full precision between the two
    axes and rounds integer images once -> an image of the same type.
    """
    if (scale is None) == (size is None):
        raise ValueError('imresize takes either a scale or a size.')
    if image.ndim not in (2, 3) or image.dtype.kind not in 'uf':
        raise ValueError(
            f'imresize takes (H, W) or (H, W, C) images, unsigned or floating; got {image.dtype} {image.shape}.'
        )
    if size is not None:
        factors = size[0] / image.shape[0], size[1] / image.shape[1]
    elif scale is not None and scale > 0:
        size = math.ceil(image.shape[0] * scale), math.ceil(image.shape[1] * scale)
        factors = scale, scale
    else:
        raise ValueError(f'scale must be positive, got {scale}.')
    integer = image.dtype.kind == 'u'
    out = image.astype(np.float64)
    for axis in sorted((0, 1), key=lambda axis: factors[axis]):
        out = resize_axis(out, axis, size[axis], factors[axis])
        if integer and round_between:
            out = quantize(out, image.dtype)
    return quantize(out, image.dtype).astype(image.dtype) if integer else out.astype(image.dtype)


def quantize(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Halves are rounded up, and values clipped to the range of `dtype`."""
    return np.clip(np.floor(image + 0.5), 0, np.iinfo(dtype).max)


def resize_axis(image: np.ndarray, axis: int, length: int, scale: float) -> np.ndarray:
    positions, weights = contributions(image.shape[axis], length, scale)
    rows = np.moveaxis(image, axis, 0)  # (L, ...)
    shape = (length,) + (1,) * (image.ndim - 1)
    out = sum(rows[position] * weight.reshape(shape) for position, weight in zip(positions.T, weights.T, strict=True))
    return np.moveaxis(out, 0, axis)


def contributions(length: int, out_length: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Input positions that each output sample is a sum of, and their weights: (L', P), (L', P)."""
    stretch = min(scale, 1.0)
    width = 4.0 / stretch
    center = (np.arange(out_length) + 0.5) / scale - 0.5
    span = math.ceil(width) + 2
    positions = np.floor(center - width / 2)[:, None] + np.arange(span)
    weights = stretch * cubic(stretch * (center[:, None] - positions))
    weights /= weights.sum(1, keepdims=True)
    mirrored = positions.astype(np.int64) % (2 * length)
    mirrored = np.minimum(mirrored, 2 * length - 1 - mirrored)
    used = np.any(weights != 0, axis=0)
    return mirrored[:, used], weights[:, used]


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys's interpolation kernel with a = -0.5."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
