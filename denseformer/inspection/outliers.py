"""Images that differ from the others of their set: blurred, far too dark, far too bright."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 384
"""Pixels to which the longer side of larger images is reduced before sharpness is measured."""
LEAST_IMAGES = 8
"""Images below which a set has no usual look."""
DEVIATIONS = 5.0
"""Robust standard deviations from the median, beyond which an image is an outlier."""
BLURRED, DARK = 3.0, 60.0
"""The least distance of an outlier: powers of two of the energy of edges, and gray levels of 255."""


class Look(NamedTuple):
    """sharpness: log2 of the energy of edges over that of the image, nan for a plain one; level: mean gray value."""

    sharpness: float
    level: float


def gray_of(image: np.ndarray) -> np.ndarray:
    """(H, W) gray values 0 .. 255 of an image, (H, W) or (H, W, channels), of any type; three channels are B, G, R.

    uint8 as long as the image is; floating point is taken for 0 .. 1.
    """
    if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    gray = image if image.ndim == 2 else image.mean(2, dtype=np.float32)
    if image.dtype == np.uint8:
        return gray.astype(np.uint8)
    top = np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else 1.0
    return gray.astype(np.float32) * np.float32(255 / top)


def look(gray: np.ndarray) -> Look:
    """The look of an image of gray values (H, W) from 0 to 255."""
    factor = SIDE / max(gray.shape)
    if factor < 1:
        gray = cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    mean, deviation = cv2.meanStdDev(gray)
    edges = cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_32F))[1]
    plain = deviation.item() < 1  # gray value
    return Look(np.nan if plain else float(2 * np.log2(max(edges.item(), 1e-3) / deviation.item())), mean.item())


def outliers(looks: Mapping[str, Look]) -> Iterator[tuple[str, str, str]]:
    """(name, 'blur' or 'exposure', what is unusual) of the images that differ from all others given."""
    if len(looks) < LEAST_IMAGES:
        return
    sharpness, level = np.array(list(looks.values()), float).T
    usual, spread = middle(sharpness)
    for name, value in zip(looks, sharpness, strict=True):
        if usual - value > max(DEVIATIONS * spread, BLURRED):
            yield name, 'blur', f'has {2 ** (value - usual):.2g} times the edges of the median image'
    usual, spread = middle(level)
    for name, value in zip(looks, level, strict=True):
        if abs(value - usual) > max(DEVIATIONS * spread, DARK):
            word = 'dark' if value < usual else 'bright'
            yield name, 'exposure', f'is {word}: mean gray level {value:.0f} of 255, the median is {usual:.0f}'


def middle(values: np.ndarray) -> tuple[float, float]:
    """The median of the values that are numbers, and a robust standard deviation."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.nan
    center = float(np.median(known))
    return center, 1.4826 * float(np.median(np.abs(known - center)))
