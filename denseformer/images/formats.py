"""Writing pictures: the formats, what each can hold, lossless where it can be, with the metadata of the source.

Legend: H W image, C channels.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from denseformer.images.metadata import pillow_options, png_with
from denseformer.images.picture import Picture
from denseformer.images.tiffs import Layout, write_bands

REMEDY = 'write another format, as with --format png'


@dataclass(frozen=True)
class Format:
    """depths: bytes of a sample that it can hold; alpha: whether it holds transparency; color: whether it holds more
    than gray; side: the longest side."""

    depths: tuple[int, ...] = (1,)
    alpha: bool = False
    color: bool = True
    side: int | None = None


PNG = Format((1, 2), alpha=True)
TIFF = Format((1, 2, 4), alpha=True)
JPEG = Format(side=65_535)
PNM = Format((1, 2))
BMP = Format()
FORMATS = {
    '.png': PNG,
    '.tif': TIFF,
    '.tiff': TIFF,
    '.jpg': JPEG,
    '.jpeg': JPEG,
    '.jpe': JPEG,
    '.jfif': JPEG,
    '.webp': Format(alpha=True, side=16_383),
    '.jp2': Format((1, 2)),
    '.bmp': BMP,
    '.dib': BMP,
    '.ppm': PNM,
    '.pnm': PNM,
    '.pgm': Format((1, 2), color=False),
}
"""Formats by suffix. Others, such as gif, are read but not written."""


def suffix_for(suffix: str) -> str:
    """The suffix of a restored image whose source has `suffix`: the same, or .png where it is not written."""
    return suffix if suffix.lower() in FORMATS else '.png'


def checked_suffix(name: str) -> str:
    """'png' or '.png' as a suffix; raises ValueError for a format that is not written."""
    suffix = f'.{name.lower().lstrip(".")}'
    if suffix not in FORMATS:
        raise ValueError(f"The format '{name}' is not written; legal are {' '.join(kind[1:] for kind in FORMATS)}.")
    return suffix


def write_picture(picture: Picture, path: str | Path, suffix: str) -> None:
    """Write a picture in the format that `suffix` names.

    Raises ValueError for a format that cannot hold the picture.
    """
    suffix = checked_suffix(suffix)
    check_holds(picture, suffix)
    path, kind = Path(path), FORMATS[suffix]
    if kind is TIFF:
        rgb = as_rgb(picture)
        layout = Layout(rgb.shape[:2], rgb.shape[2], rgb.dtype, picture.metadata)
        write_bands(path, layout, iter([rgb[..., 0] if rgb.shape[2] == 1 else rgb]))
    elif kind is JPEG:
        options = pillow_options(picture.metadata)
        pillow_image(picture).save(path, format='JPEG', quality=95, **options)
    elif suffix == '.webp':
        options = pillow_options(picture.metadata)
        pillow_image(picture).save(path, format='WEBP', lossless=True, exact=True, **options)
    elif kind is PNG:
        path.write_bytes(png_with(png_of(picture), picture.metadata))
    else:
        path.write_bytes(encoded(interleaved(picture), suffix))


def check_holds(picture: Picture, suffix: str) -> None:
    """Raise ValueError for a picture that the format cannot hold."""
    kind, side = FORMATS[suffix], max(picture.size)
    if side > (kind.side or side):
        raise ValueError(f'{suffix} cannot hold {side} pixels at a side; {REMEDY}.')
    if picture.pixels.itemsize not in kind.depths:
        raise ValueError(f'{suffix} cannot hold {8 * picture.pixels.itemsize} bits; {REMEDY}, or tif.')
    if picture.alpha is not None and not kind.alpha:
        raise ValueError(f'{suffix} cannot hold transparency; {REMEDY}.')
    if picture.pixels.shape[2] == 3 and not kind.color:
        raise ValueError(f'{suffix} cannot hold color; {REMEDY}.')


def as_rgb(picture: Picture) -> np.ndarray:
    """(H, W, C), gray or R, G, B, and A where there is transparency."""
    pixels = picture.pixels[..., ::-1]
    return np.ascontiguousarray(pixels if picture.alpha is None else np.dstack([pixels, picture.alpha]))


def png_of(picture: Picture) -> bytes:
    """A PNG file by OpenCV, as Pillow has no 16-bit color; gray with transparency, which OpenCV lacks, by Pillow."""
    if picture.alpha is None or picture.pixels.shape[2] == 3 or picture.pixels.dtype == np.uint16:
        return encoded(interleaved(picture), '.png')
    file = BytesIO()
    Image.fromarray(as_rgb(picture)).save(file, format='PNG')
    return file.getvalue()


def pillow_image(picture: Picture) -> Image.Image:
    """The picture, of 8 bits, in a mode that Pillow's writers take."""
    rgb = as_rgb(picture)
    image = Image.fromarray(rgb[..., 0] if rgb.shape[2] == 1 else rgb)
    return image.convert('RGBA') if image.mode == 'LA' else image


def interleaved(picture: Picture) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4), B, G, R(, A), as OpenCV's writers take it."""
    if picture.alpha is None:
        return picture.pixels[..., 0] if picture.pixels.shape[2] == 1 else picture.pixels
    return np.dstack([picture.as_bgr(), picture.alpha])


def encoded(array: np.ndarray, suffix: str) -> bytes:
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if suffix == '.jp2' else []
    done, data = cv2.imencode(suffix, array, options)
    if not done:
        raise ValueError(f'{suffix} cannot hold an image of {array.shape}; {REMEDY}.')
    return data.tobytes()
