"""Strict reading of images: anything suspicious raises an error that names the file."""

import re
from io import BytesIO

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from PIL import Image, UnidentifiedImageError

from denseformer.registry import TRANSFORMS

MAX_PIXELS = 178_956_970  # half a gigabyte as 8-bit colour


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read `img_path` as mmsegmentation's LoadImageFromFile does, strictly.

    Grey, palette, CMYK, transparent and 16-bit images all become `img`, (H, W, 3) uint8 in B, G, R order; `img_shape`
    and `ori_shape` are (H, W).

    Args:
        apply_orientation: turn the image as its EXIF data asks. Label maps carry no EXIF data: where they were drawn
            on the image as it is stored, this must be off.
        max_pixels: the largest H x W that is decoded; looked up in the header before.
        to_float32: hand over float32, still in 0 .. 255.
        backend_args: for mmengine's file backends.

    Raises ValueError for a file that is missing, empty, truncated, no image or too large.
    """

    def __init__(
        self,
        *,
        apply_orientation: bool = True,
        max_pixels: int = MAX_PIXELS,
        to_float32: bool = False,
        backend_args: dict | None = None,
    ):
        self.apply_orientation = apply_orientation
        self.max_pixels = max_pixels
        self.to_float32 = to_float32
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        path = results['img_path']
        data = read_bytes(path, 'image', self.backend_args)
        check_pixels(path, pixels_in_header(data), self.max_pixels)
        flags = cv2.IMREAD_COLOR if self.apply_orientation else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = decode_image(path, data, flags)
        check_pixels(path, image.shape[0] * image.shape[1], self.max_pixels)
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(apply_orientation={self.apply_orientation}, max_pixels={self.max_pixels}, '
            f'to_float32={self.to_float32}, backend_args={self.backend_args})'
        )


def read_bytes(path: str, what: str, backend_args: dict | None = None) -> bytes:
    """The content of `path`; ValueError naming it and `what` it is where there is none."""
    try:
        data = fileio.get(path, backend_args=backend_args)
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"The {what} '{path}' cannot be read: {reason}. Check data_root and data_prefix.") from error
    if not data:
        raise ValueError(f"The {what} '{path}' is empty (0 bytes). Fetch it again or remove it from the dataset.")
    return data


def decode_image(path: str, data: bytes, flags: int) -> np.ndarray:
    """(H, W, 3) uint8, B, G, R. OpenCV, unlike many decoders, returns nothing rather than half an image."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(
            f"'{path}' ({len(data)} bytes) cannot be decoded: it is truncated, damaged or not an image. "
            'Fetch the file again, convert it to PNG or JPEG, or remove it from the dataset.'
        )
    return image


def check_pixels(path: str, pixels: int | None, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ValueError for an image that is too large to be decoded; None is a size that nobody knows."""
    if pixels is not None and pixels > max_pixels:
        raise ValueError(
            f"'{path}' has {pixels} pixels, more than max_pixels={max_pixels}. Cut the image into tiles; "
            'denseformer.LoadImage(max_pixels=...) takes more, where the memory is there.'
        )


def pixels_in_header(data: bytes) -> int | None:
    """H x W as the header says, without decoding; None where Pillow does not know the format."""
    try:
        with Image.open(BytesIO(data)) as header:
            return header.width * header.height
    except Image.DecompressionBombError as error:
        number = re.search(r'\((\d+) pixels\)', str(error))
        return int(number[1]) if number else None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None
