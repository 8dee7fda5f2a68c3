"""Images in memory: 8 or 16 bits or fractions, gray or color, with or without transparency.

Legend: H W image, C channels.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image

from denseformer.images.metadata import Metadata

DTYPES = (np.uint8, np.uint16, np.float32)
PILLOW_MODES = {'1': 'L', 'L': 'L', 'LA': 'LA', 'La': 'LA', 'RGBA': 'RGBA', 'RGBa': 'RGBA', 'PA': 'RGBA'}
"""The mode that a Pillow image of each mode is converted to; the others to RGB, a palette with transparency to RGBA."""


class UnsupportedImageError(ValueError):
    """An image that is sound, but of a kind that a `Picture` does not hold; the message names no file."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, upright, as its file stores it.

    pixels: (H, W, C) uint8, uint16, or float32 in [0, 1]; gray (C = 1) or B, G, R (C = 3); alpha: (H, W) of the same
    type, or None; metadata: profile, EXIF data and resolution of its file.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.pixels.shape[:2]

    def as_bgr(self) -> np.ndarray:
        """(H, W, 3) of the picture's type, B, G, R; transparency left out."""
        return np.repeat(self.pixels, 3, axis=2) if self.pixels.shape[2] == 1 else self.pixels

    def as_bgr8(self) -> np.ndarray:
        """(H, W, 3) uint8, B, G, R; transparency left out."""
        return as_uint8(self.as_bgr())


def as_uint8(pixels: np.ndarray) -> np.ndarray:
    """Pixels of a picture's type in 8 bits: fractions rounded, the upper byte of 16 bits."""
    if pixels.dtype == np.float32:
        return (pixels * 255 + 0.5).astype(np.uint8)
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


def with_hidden_filled(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Pixels (H, W, C) of which those that alpha (H, W) hides have the color of the nearest visible one.

    A network sees hidden colors, and smears them over the visible edge.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )  # (H, W): the number of the nearest visible pixel
    visible = np.flatnonzero(~hidden)
    place = np.zeros(labels.max() + 1, np.intp)
    place[labels.ravel()[visible]] = visible
    return pixels.reshape(-1, pixels.shape[2])[place[labels]]


def picture_of_array(array: np.ndarray) -> Picture:
    """A gray (H, W), color (H, W, 3) or transparent (H, W, 4) array, in B, G, R(, A) order, as a picture.

    Raises UnsupportedImageError for types other than uint8, uint16 and float32 in [0, 1], and for other shapes.
    """
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if array.dtype not in DTYPES or channels not in (1, 3, 4) or 0 in array.shape:
        raise UnsupportedImageError(
            f'An image array is (H, W), (H, W, 3) or (H, W, 4), uint8, uint16 or float32, in B, G, R(, A) order; '
            f'got {array.shape} {array.dtype}.'
        )
    check_unit_range(array)
    array = array.reshape(*array.shape[:2], channels)
    if channels < 4:
        return Picture(array)
    return Picture(np.ascontiguousarray(array[..., :3]), np.ascontiguousarray(array[..., 3]))


def check_unit_range(array: np.ndarray) -> None:
    """Raise UnsupportedImageError for float32 pixels outside [0, 1], which have no range of their own."""
    if array.dtype != np.float32:
        return
    least, largest = float(array.min()), float(array.max())
    if not (least >= 0 and largest <= 1):
        raise UnsupportedImageError(
            f'float32 pixels lie in [0, 1], these from {least:g} to {largest:g}: scale them first.'
        )


def picture_of_pillow(image: Image.Image) -> Picture:
    """A Pillow image as a picture; raises UnsupportedImageError for 32-bit integers and fractions outside [0, 1]."""
    if image.mode == 'F':
        return picture_of_array(np.array(image))
    if image.mode.startswith('I;16'):
        return picture_of_array(np.asarray(image).astype(np.uint16))
    if image.mode == 'I':
        raise UnsupportedImageError(
            'Images of 32-bit integers have no range; legal are 8 and 16 bits, and float32 in [0, 1].'
        )
    transparent = image.mode == 'P' and 'transparency' in image.info
    mode = 'RGBA' if transparent else PILLOW_MODES.get(image.mode, 'RGB')
    array = np.asarray(image.convert(mode))
    if mode == 'LA':
        return Picture(np.ascontiguousarray(array[..., :1]), np.ascontiguousarray(array[..., 1]))
    if mode == 'L':
        return picture_of_array(array)
    return picture_of_array(np.ascontiguousarray(array[..., [2, 1, 0, 3][: array.shape[2]]]))


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W) or (H, W, C), rotated and flipped as the EXIF orientation, 1 to 8, asks; others leave it as it is."""
    if orientation not in range(2, 9):
        return array
    quarter_turns = {2: 0, 3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}[orientation]
    array = np.rot90(array, quarter_turns)
    if orientation in (2, 4, 5, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)
