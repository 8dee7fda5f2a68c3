"""Reading image files: `read_image` is the one way from a file to pixels, in training and in prediction.

OpenCV decodes; Pillow reads the header, and decodes what OpenCV does not tell apart: palettes, gray with alpha, CMYK in
TIFF files.
"""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import tifffile
from mmengine import fileio
from PIL import ExifTags, Image, UnidentifiedImageError

from denseformer.images.limits import MAX_PIXELS, TooLargeError, check_pixels
from denseformer.images.metadata import Metadata, metadata_of
from denseformer.images.picture import (
    DTYPES,
    Picture,
    UnsupportedImageError,
    picture_of_array,
    picture_of_pillow,
    upright,
)

MODES_OF_PILLOW = ('P', 'PA', 'LA', 'La', 'RGBa', 'CMYK', 'YCCK', 'LAB', '1')
FORMATS_OF_PILLOW = ('AVIF',)
ANIMATED_FORMATS = ('GIF', 'WEBP', 'PNG', 'AVIF')
BITS_PER_SAMPLE = 258
TIFF_SIGNATURES = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
TIFF_FAULTS = (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError, struct.error)
"""Errors that tifffile raises for damaged files."""
DAMAGED = (
    'it is truncated, damaged or not an image. Fetch the file again, convert it to PNG or JPEG, or leave it out of the '
    'dataset'
)


def read_image(
    path: str | Path,
    *,
    what: str = 'image',
    page: int | None = None,
    gray: bool = False,
    apply_orientation: bool = True,
    max_pixels: int = MAX_PIXELS,
    backend_args: dict | None = None,
) -> Picture:
    """Read the image in a file, with its depth, transparency and metadata.

    Args:
        what: the file's part in its dataset, for messages.
        page: of a TIFF file that has several, counted from 0.
        gray: colors are read as their luma, one channel, as OpenCV's decoders compute it.
        apply_orientation: rotate and flip the image as its EXIF data asks.
        max_pixels: the largest H x W that is decoded, looked up in the header before.
        backend_args: for mmengine's file backends.

    Raises ValueError, naming the file, for one that is missing, empty, damaged, animated, no image, larger than
    `max_pixels`, or of a type that `Picture` does not hold.
    """
    data = read_bytes(path, what, backend_args)
    return decode_image(path, data, page=page, gray=gray, apply_orientation=apply_orientation, max_pixels=max_pixels)


def decode_image(
    path: str | Path,
    data: bytes,
    *,
    page: int | None = None,
    gray: bool = False,
    apply_orientation: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """The image in `data`, the content of `path`; arguments and errors as those of `read_image`.

    This is the order of all checks: the number of channels of a TIFF file, whether the file is animated, the size that
    its header claims, whether it can be decoded, the size that it has, its type, the range of fractions.
    """
    try:
        header = read_header(path, data, page or 0, max_pixels)
        picture = header.picture or picture_of_array(decode(path, header.data, page, gray, max_pixels))
    except UnsupportedImageError as error:
        raise ValueError(f"'{path}': {error}") from error
    pixels, alpha = picture.pixels, picture.alpha
    if gray and pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[..., None]
    orientation = header.orientation if apply_orientation else 1
    return Picture(
        upright(pixels, orientation),
        None if alpha is None else upright(alpha, orientation),
        header.metadata.fitting(pixels.shape[2], orientation),
    )


@dataclass(frozen=True)
class Header:
    """data: the content of the file, that of a TIFF file marked as upright; orientation: 1 to 8, as EXIF counts;
    picture: the image where Pillow decodes it."""

    data: bytes
    metadata: Metadata
    orientation: int
    picture: Picture | None = None


def read_header(path: str | Path, data: bytes, page: int, max_pixels: int) -> Header:
    """The metadata of an image file of a legal size, and its pixels where Pillow decodes them."""
    orientation = 1
    try:
        if data[:4] in TIFF_SIGNATURES:
            data, orientation = set_tiff_upright(data, page)
        with Image.open(BytesIO(data)) as image:
            refuse_animation(image)
            image.seek(page)
            check_pixels(path, image.width * image.height, max_pixels)
            metadata, exif_orientation = metadata_of(image, data, path)
            picture = picture_of_pillow(image) if is_for_pillow(image) else None
            return Header(data, metadata, max(orientation, exif_orientation), picture)
    except (UnsupportedImageError, TooLargeError):
        raise
    except UnidentifiedImageError:  # Pillow does not know the format; OpenCV may
        return Header(data, Metadata(), orientation)
    except Image.DecompressionBombError as error:
        check_pixels(path, claimed_pixels(error), max_pixels)
        raise ValueError(f"'{path}': {error} Besides max_pixels, set PIL.Image.MAX_IMAGE_PIXELS = None.") from error
    except (SyntaxError, EOFError, *TIFF_FAULTS) as error:
        raise ValueError(f"'{path}' ({len(data)} bytes) cannot be decoded ({error}): {DAMAGED}.") from error


@contextmanager
def without_pillows_limit() -> Iterator[None]:
    """Let `max_pixels` alone decide: Pillow has a limit of its own, of the whole process."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def is_for_pillow(header: Image.Image) -> bool:
    """Whether OpenCV does not decode a file, does not tell what is in it, or multiplies its colors by their alpha."""
    if header.format == 'JPEG':
        return False  # OpenCV turns CMYK into colors
    bits = max(getattr(header, 'tag_v2', {}).get(BITS_PER_SAMPLE, (0,)))
    premultiplied = header.mode == 'RGBA' and bits == 8
    return premultiplied or header.mode in MODES_OF_PILLOW or header.format in FORMATS_OF_PILLOW


def decode(path: str | Path, data: bytes, page: int | None, gray: bool, max_pixels: int) -> np.ndarray:
    """(H, W) or (H, W, C) by OpenCV, which, unlike many decoders, hands over nothing rather than half an image."""
    flags = cv2.IMREAD_UNCHANGED
    if gray:
        flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    content = np.frombuffer(data, np.uint8)
    try:
        if page is None:
            array = cv2.imdecode(content, flags)
        else:
            _, arrays = cv2.imdecodemulti(content, flags, range=(page, page + 1))
            array = arrays[0] if arrays else None
    except cv2.error:
        array = None
    if array is None:
        where = '' if page is None else f': page {page + 1}'
        raise ValueError(f"'{path}' ({len(data)} bytes){where} cannot be decoded: {DAMAGED}.")
    check_pixels(path, array.shape[0] * array.shape[1], max_pixels)
    if array.dtype not in DTYPES:
        raise ValueError(f"'{path}' holds {array.dtype} pixels; legal are 8 and 16 bits without sign, and float32.")
    return array


def read_bytes(path: str | Path, what: str = 'file', backend_args: dict | None = None) -> bytes:
    """The content of `path`; ValueError naming it, and `what` it is in its dataset, where there is none."""
    try:
        data = fileio.get(str(path), backend_args=backend_args)
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f"The {what} '{path}' cannot be read: {reason}. Check the path; in a config, data_root and data_prefix."
        ) from error
    if not data:
        raise ValueError(f"The {what} '{path}' is empty (0 bytes). Fetch it again, or leave it out of the dataset.")
    return data


def pixels_in_header(data: bytes) -> int | None:
    """H x W as the header says, without decoding; None where Pillow does not know the format."""
    try:
        with Image.open(BytesIO(data)) as header:
            return header.width * header.height
    except Image.DecompressionBombError as error:
        return claimed_pixels(error)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None


def claimed_pixels(error: Image.DecompressionBombError) -> int | None:
    """The size that Pillow found too large; None where its message does not say."""
    number = re.search(r'\((\d+) pixels\)', str(error))
    return int(number[1]) if number else None


def refuse_animation(header: Image.Image) -> None:
    """Raise UnsupportedImageError for a file with several frames; the pages of a TIFF file are images of their own."""
    frames = getattr(header, 'n_frames', 1)
    if frames > 1 and header.format in ANIMATED_FORMATS:
        raise UnsupportedImageError(
            f'it is animated ({frames} frames). Convert it to a video, or to an image per frame.'
        )


def set_tiff_upright(data: bytes, page: int) -> tuple[bytes, int]:
    """A TIFF file whose page claims to be upright, and its orientation: decoders differ in whether they apply it.

    Raises UnsupportedImageError for more than four channels.
    """
    with tifffile.TiffFile(BytesIO(data)) as file:
        stored = file.pages[page].aspage()
        if stored.samplesperpixel > 4:
            raise UnsupportedImageError(
                f'it has {stored.samplesperpixel} channels; write the ones to predict on into a file.'
            )
        tag = stored.tags.get(ExifTags.Base.Orientation)
        order: Any = 'little' if file.byteorder == '<' else 'big'
    if tag is None or tag.value == 1:
        return data, 1
    return data[: tag.valueoffset] + (1).to_bytes(2, order) + data[tag.valueoffset + 2 :], int(tag.value)


def pages_of(path: str | Path | BinaryIO) -> list[int]:
    """The images in a TIFF file, reduced copies left out; [0] for a file that cannot be read."""
    try:
        with tifffile.TiffFile(path) as file:
            return [i for i, page in enumerate(file.pages) if not page.is_reduced] or [0]
    except TIFF_FAULTS:
        return [0]
