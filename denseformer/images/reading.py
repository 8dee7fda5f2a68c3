"""Images as files hold them: 8 or 16 bits or fractions, grey or colour, with or without transparency, upright.

OpenCV decodes; Pillow says what is in the header, and decodes what OpenCV does not tell apart: palettes, grey with
alpha, CMYK.

Legend: H W image, C channels.
"""

from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from denseformer.datasets.loading import MAX_PIXELS, decode_image, pixels_in_header, read_bytes
from denseformer.images.metadata import Metadata, metadata_of, set_upright

DTYPES = (np.uint8, np.uint16, np.float32)
PLAIN = {'1': 'L', 'L': 'L', 'LA': 'LA', 'La': 'LA', 'RGBA': 'RGBA', 'RGBa': 'RGBA', 'PA': 'RGBA'}
"""What Pillow's modes are read as; the others as RGB, and palettes with transparency as RGBA."""
BY_PILLOW = ('P', 'PA', 'LA', 'La', 'RGBa', 'CMYK', 'YCCK', 'LAB', '1')
BITS_PER_SAMPLE = 258
TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
TIFF_FAULTS = (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError)
"""What tifffile raises for damaged files."""


@dataclass(frozen=True, eq=False)
class Picture:
    """pixels: (H, W, C) uint8, uint16, or float32 in [0, 1]; grey (C = 1) or B, G, R (C = 3); alpha: (H, W) of the
    same type, or None; metadata: what its file says besides."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[:2]

    def as_bgr8(self) -> np.ndarray:
        """(H, W, 3) uint8, B, G, R; transparency left out."""
        pixels = in_8_bits(self.pixels)
        return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def in_8_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.float32:
        return (pixels * 255 + 0.5).astype(np.uint8)
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


def picture_of(array: np.ndarray) -> Picture:
    """A grey (H, W), colour (H, W, 3) or transparent (H, W, 4) array of 8 or 16 bits, or float32 in [0, 1], in
    B, G, R(, A) order."""
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if array.dtype not in DTYPES or channels not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            f'An image array is (H, W), (H, W, 3) or (H, W, 4), uint8, uint16 or float32, in B, G, R(, A) order; '
            f'got {array.shape} {array.dtype}.'
        )
    check_fractions(array)
    array = array.reshape(*array.shape[:2], channels)
    if channels < 4:
        return Picture(array)
    return Picture(np.ascontiguousarray(array[..., :3]), np.ascontiguousarray(array[..., 3]))


def check_fractions(array: np.ndarray) -> None:
    """Raise ValueError for floating pixels outside [0, 1], which have no range of their own."""
    if array.dtype != np.float32:
        return
    least, largest = float(array.min()), float(array.max())
    if not (least >= 0 and largest <= 1):
        raise ValueError(f'float32 pixels lie in [0, 1], these from {least:g} to {largest:g}: scale them first.')


def picture_of_pillow(image: Image.Image) -> Picture:
    """A Pillow image of any mode that has a colour or a grey of 8 or 16 bits, or fractions in [0, 1]."""
    if image.mode == 'F':
        return picture_of(np.array(image))
    if image.mode.startswith('I;16'):
        return picture_of(np.asarray(image).astype(np.uint16))
    if image.mode == 'I':
        raise ValueError('Images of 32-bit integers have no range; legal are 8 and 16 bits, and float32 in [0, 1].')
    transparent = image.mode == 'P' and 'transparency' in image.info
    mode = 'RGBA' if transparent else PLAIN.get(image.mode, 'RGB')
    array = np.asarray(image.convert(mode))
    if mode == 'LA':
        return Picture(np.ascontiguousarray(array[..., :1]), np.ascontiguousarray(array[..., 1]))
    if mode == 'L':
        return picture_of(array)
    return picture_of(np.ascontiguousarray(array[..., [2, 1, 0, 3][: array.shape[2]]]))


def read_picture(path: str | Path, *, page: int | None = None, max_pixels: int = MAX_PIXELS) -> Picture:
    """The image in a file, upright, with its depth, transparency and metadata.

    page: of a TIFF file that has several, counted from 0. Raises ValueError for a file that is missing, empty, damaged,
    animated, no image, of a type that `Picture` does not hold, or larger than `max_pixels`.
    """
    data = read_bytes(str(path), 'image')
    check_pixels(path, pixels_in_header(data), max_pixels)
    metadata, orientation = Metadata(), 1
    try:
        if data[:4] in TIFF:
            data, orientation = set_upright(data, page or 0)
        with Image.open(BytesIO(data)) as header:
            refuse_animation(header)
            header.seek(page or 0)
            metadata, turn = metadata_of(header, data)
            orientation = max(orientation, turn)
            if is_for_pillow(header):
                return finished(picture_of_pillow(header), metadata, orientation)
    except UnidentifiedImageError:
        pass  # Pillow does not know the format; OpenCV may
    except Image.DecompressionBombError as error:
        raise ValueError(f"'{path}': {error} Besides max_pixels, set PIL.Image.MAX_IMAGE_PIXELS = None.") from error
    except (SyntaxError, EOFError, *TIFF_FAULTS) as error:
        raise ValueError(f"'{path}' cannot be read: {error}") from error
    array = decode_image(str(path), data, cv2.IMREAD_UNCHANGED) if page is None else decode_page(path, data, page)
    check_pixels(path, array.shape[0] * array.shape[1], max_pixels)
    if array.dtype not in DTYPES:
        raise ValueError(f"'{path}' holds {array.dtype} pixels; legal are 8 and 16 bits without sign, and float32.")
    try:
        return finished(picture_of(array), metadata, orientation)
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from error


def is_for_pillow(header: Image.Image) -> bool:
    """Whether OpenCV does not tell what is in a file, or, in a TIFF file, multiplies its colours by their alpha."""
    bits = max(getattr(header, 'tag_v2', {}).get(BITS_PER_SAMPLE, (0,)))
    return header.mode in BY_PILLOW or (header.mode == 'RGBA' and bits == 8)


def finished(picture: Picture, metadata: Metadata, orientation: int) -> Picture:
    return replace(upright(picture, orientation), metadata=metadata.fitting(picture.pixels.shape[2], orientation))


def decode_page(path: str | Path, data: bytes, page: int) -> np.ndarray:
    """One of the images of a TIFF file."""
    done, arrays = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    if not done or not arrays:
        raise ValueError(f"'{path}': page {page + 1} cannot be decoded. Fetch the file again, or save it uncompressed.")
    return arrays[0]


def check_pixels(path: str | Path, pixels: int | None, max_pixels: int) -> None:
    if pixels is not None and pixels > max_pixels:
        raise ValueError(
            f"'{path}' has {pixels} pixels, more than max_pixels={max_pixels}. Raise it where the memory is there, or "
            'predict a TIFF file window by window with --native.'
        )


def refuse_animation(header: Image.Image) -> None:
    frames = getattr(header, 'n_frames', 1)
    if frames > 1 and header.format in ('GIF', 'WEBP', 'PNG'):
        raise ValueError(f'it is animated ({frames} frames). Convert it to a video, or to an image per frame.')


def pages_of(path: str | Path) -> list[int]:
    """The images in a TIFF file, reduced copies left out; [0] for a file that cannot be read."""
    try:
        with tifffile.TiffFile(path) as file:
            return [i for i, page in enumerate(file.pages) if not page.is_reduced] or [0]
    except TIFF_FAULTS:
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
