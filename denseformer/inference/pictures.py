"""Images as files hold them: 8 or 16 bits, grey or colour, with or without transparency, upright; and back into files.

OpenCV decodes; Pillow says what is in the header, and decodes what OpenCV does not tell apart (palettes, grey with
alpha, CMYK) or which page is meant.

Legend: H W image, C channels.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from denseformer.datasets.loading import MAX_PIXELS, decode_image, pixels_in_header, read_bytes

LOSSLESS = ('.png', '.tif', '.tiff', '.bmp', '.dib', '.pgm', '.ppm', '.pnm', '.pbm', '.webp', '.jp2')
PLAIN = {'1': 'L', 'L': 'L', 'LA': 'LA', 'La': 'LA', 'RGBA': 'RGBA', 'RGBa': 'RGBA', 'PA': 'RGBA'}
"""What Pillow's modes are read as; the others as RGB, and palettes with transparency as RGBA."""
LARGEST = {'.jpg': 65_535, '.jpeg': 65_535, '.webp': 16_383}
"""Sides that a format cannot exceed."""


@dataclass(frozen=True, eq=False)
class Picture:
    """pixels: (H, W, C) uint8 or uint16, grey (C = 1) or B, G, R (C = 3); alpha: (H, W) of the same type, or None."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[:2]

    def as_bgr8(self) -> np.ndarray:
        """(H, W, 3) uint8, B, G, R; transparency left out."""
        pixels = self.pixels if self.pixels.dtype == np.uint8 else (self.pixels >> 8).astype(np.uint8)
        return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def picture_of(array: np.ndarray) -> Picture:
    """A grey (H, W), colour (H, W, 3) or transparent (H, W, 4) array of 8 or 16 bits, in B, G, R(, A) order."""
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if array.dtype not in (np.uint8, np.uint16) or channels not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            f'An image array is (H, W), (H, W, 3) or (H, W, 4), uint8 or uint16, in B, G, R(, A) order; '
            f'got {array.shape} {array.dtype}.'
        )
    array = array.reshape(*array.shape[:2], channels)
    if channels < 4:
        return Picture(array)
    return Picture(np.ascontiguousarray(array[..., :3]), np.ascontiguousarray(array[..., 3]))


def picture_of_pillow(image: Image.Image) -> Picture:
    """A Pillow image of any mode that has a colour or a grey of 8 or 16 bits."""
    if image.mode.startswith('I;16'):
        return picture_of(np.asarray(image).astype(np.uint16))
    if image.mode in ('F', 'I'):
        raise ValueError(f'Images of {image.mode} pixels have no range; legal are 8 and 16 bits.')
    transparent = image.mode == 'P' and 'transparency' in image.info
    mode = 'RGBA' if transparent else PLAIN.get(image.mode, 'RGB')
    array = np.asarray(image.convert(mode))
    if mode == 'LA':
        return Picture(np.ascontiguousarray(array[..., :1]), np.ascontiguousarray(array[..., 1]))
    if mode == 'L':
        return picture_of(array)
    return picture_of(np.ascontiguousarray(array[..., [2, 1, 0, 3][: array.shape[2]]]))


def read_picture(path: str | Path, *, page: int | None = None, max_pixels: int = MAX_PIXELS) -> Picture:
    """The image in a file, upright, with its depth and transparency.

    page: of a file that has several, counted from 0. Raises ValueError for a file that is missing, empty, damaged,
    animated, no image, of another depth than 8 or 16 bits, or larger than `max_pixels`.
    """
    data = read_bytes(str(path), 'image')
    pixels = pixels_in_header(data)
    if pixels is not None and pixels > max_pixels:
        raise ValueError(
            f"'{path}' has {pixels} pixels, more than max_pixels={max_pixels}. Raise it where the memory is there, or "
            'predict a TIFF file window by window with --native.'
        )
    try:
        with Image.open(BytesIO(data)) as header:
            refuse_animation(path, header)
            orientation = header.getexif().get(0x0112, 1)
            if page is not None:
                header.seek(page)
            if page is not None or header.mode in ('P', 'PA', 'LA', 'La', 'RGBa', 'CMYK', 'YCCK', 'LAB', '1'):
                return upright(picture_of_pillow(header), orientation)
    except UnidentifiedImageError:
        orientation = 1  # Pillow does not know the format; OpenCV may
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        raise ValueError(f"'{path}' cannot be read: {error}") from error
    array = decode_image(str(path), data, cv2.IMREAD_UNCHANGED)
    if array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"'{path}' holds {array.dtype} pixels; legal are 8 and 16 bits without sign.")
    return upright(picture_of(array), orientation)


def refuse_animation(path: str | Path, header: Image.Image) -> None:
    frames = getattr(header, 'n_frames', 1)
    if frames > 1 and header.format in ('GIF', 'WEBP', 'PNG'):
        raise ValueError(f"'{path}' is animated ({frames} frames). Convert it to an image per frame.")


def pages_of(path: str | Path) -> list[int]:
    """The images in a TIFF file, reduced copies left out; [0] for a file that cannot be read."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return [i for i, page in enumerate(file.pages) if not page.is_reduced] or [0]
    except (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError):
        return [0]


def upright(picture: Picture, orientation: int) -> Picture:
    """A picture turned and mirrored as its EXIF orientation, 1 to 8, asks."""
    if orientation not in range(2, 9):
        return picture
    alpha = picture.alpha
    return Picture(turned(picture.pixels, orientation), None if alpha is None else turned(alpha, orientation))


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    quarter_turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}[orientation]
    array = np.rot90(array, quarter_turns)
    if orientation in (2, 4, 5, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def write_picture(picture: Picture, path: str | Path, suffix: str) -> None:
    """Write a picture in the format that `suffix` names, losslessly where the format allows it.

    Raises ValueError for a format that cannot hold the picture.
    """
    suffix = suffix.lower()
    side = max(picture.size)
    if side > LARGEST.get(suffix, side):
        raise ValueError(f'{suffix} cannot hold {side} pixels at a side; write another format, as with --format png.')
    if picture.pixels.dtype == np.uint16 and suffix not in ('.png', '.tif', '.tiff', '.pgm', '.ppm', '.pnm', '.jp2'):
        raise ValueError(f'{suffix} cannot hold 16 bits; write another format, as with --format png.')
    if picture.alpha is not None and picture.pixels.shape[2] == 1 and picture.pixels.dtype == np.uint8:
        both = np.dstack([picture.pixels, picture.alpha])
        Image.fromarray(both, 'LA').save(path, format='TIFF' if suffix.startswith('.tif') else 'PNG')
        return
    done, data = cv2.imencode(suffix, interleaved(picture), quality(suffix))
    if not done:
        raise ValueError(
            f'{suffix} cannot hold an image of {picture.size}; write another format, as with --format png.'
        )
    Path(path).write_bytes(data.tobytes())


def interleaved(picture: Picture) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4), as OpenCV writes it."""
    if picture.alpha is None:
        return picture.pixels[..., 0] if picture.pixels.shape[2] == 1 else picture.pixels
    colours = np.repeat(picture.pixels, 3, axis=2) if picture.pixels.shape[2] == 1 else picture.pixels
    return np.dstack([colours, picture.alpha])


def quality(suffix: str) -> list[int]:
    if suffix == '.webp':
        return [cv2.IMWRITE_WEBP_QUALITY, 101]  # lossless
    if suffix == '.jp2':
        return [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    if suffix in ('.jpg', '.jpeg', '.jpe', '.jfif'):
        return [cv2.IMWRITE_JPEG_QUALITY, 95]
    return []
