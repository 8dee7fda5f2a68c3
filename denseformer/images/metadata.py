"""What an image file says beside its pixels, and what of it a restored image keeps: profile, EXIF data, resolution."""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

import tifffile
from mmengine.logging import MMLogger
from PIL import ExifTags, Image

PNG_HEADER = 33
"""Bytes of a PNG file before its second chunk."""
KEEPS_EXIF = ('JPEG', 'MPO', 'PNG', 'WEBP')
SIZES = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
SIDEWAYS = (5, 6, 7, 8)
"""Orientations in which rows are columns."""
PROFILES = {1: b'GRAY', 3: b'RGB '}
"""The colour space that an ICC profile's header names, by the number of channels it is for."""


@dataclass(frozen=True)
class Metadata:
    """profile: an ICC profile; exif: EXIF data, without what says how to turn the image; dpi: pixels per inch, across
    and down; geography: TIFF tags that place the image on the earth."""

    profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    geography: list = field(default_factory=list)

    def enlarged(self, scale: int) -> 'Metadata':
        """Of an image of `scale` times the pixels, as large on paper."""
        return self if self.dpi is None else replace(self, dpi=(self.dpi[0] * scale, self.dpi[1] * scale))

    def fitting(self, channels: int, orientation: int) -> 'Metadata':
        """Of the image once it is turned, and without a profile for other channels, as that of a CMYK image is."""
        fits = self.profile is not None and self.profile[16:20] == PROFILES.get(channels)
        dpi = self.dpi[::-1] if self.dpi and orientation in SIDEWAYS else self.dpi
        return replace(self, profile=self.profile if fits else None, dpi=dpi)


def metadata_of(header: Image.Image, data: bytes) -> tuple[Metadata, int]:
    """What the file `data`, opened as `header`, says, and how its image is to be turned: 1 to 8, as EXIF counts."""
    orientation, carried = 1, None
    try:
        exif = header.getexif() if may_have_exif(header, data) else Image.Exif()
        orientation = exif.pop(ExifTags.Base.Orientation, 1)
        for size in SIZES:
            exif.get_ifd(ExifTags.IFD.Exif).pop(size, None)
        carried = exif.tobytes() if len(exif) and header.format in KEEPS_EXIF else None
    except (ValueError, TypeError, KeyError, SyntaxError, OSError, OverflowError, struct.error) as error:
        MMLogger.get_current_instance().warning(f'EXIF data of an image is damaged and left out: {error}')
    dpi = tuple(float(value) for value in header.info.get('dpi', ()))
    usable = len(dpi) == 2 and all(0 < value < 1e6 for value in dpi)
    return Metadata(header.info.get('icc_profile'), carried, (dpi[0], dpi[1]) if usable else None), orientation


def may_have_exif(header: Image.Image, data: bytes) -> bool:
    """Pillow decodes a whole PNG file to find out, so its chunks are looked for first."""
    return header.format != 'PNG' or b'eXIf' in data or b'Raw profile type exif' in data


def set_upright(data: bytes, page: int) -> tuple[bytes, int]:
    """A TIFF file that says its image is upright, and what it said: decoders differ in whether they turn it.

    Raises ValueError for more than the channels of a picture.
    """
    with tifffile.TiffFile(BytesIO(data)) as file:
        stored = file.pages[page].aspage()
        if stored.samplesperpixel > 4:
            raise ValueError(f'it has {stored.samplesperpixel} channels; write the ones to predict on into a file.')
        tag = stored.tags.get(ExifTags.Base.Orientation)
        order: Any = 'little' if file.byteorder == '<' else 'big'
    if tag is None or tag.value == 1:
        return data, 1
    return data[: tag.valueoffset] + (1).to_bytes(2, order) + data[tag.valueoffset + 2 :], int(tag.value)


def png_with(png: bytes, metadata: Metadata) -> bytes:
    """A PNG file with chunks for what is known."""
    chunks = []
    if metadata.profile:
        chunks.append((b'iCCP', b'ICC profile\0\0' + zlib.compress(metadata.profile)))
    if metadata.dpi:
        chunks.append((b'pHYs', struct.pack('>IIB', *(round(value / 0.0254) for value in metadata.dpi), 1)))
    if metadata.exif:
        chunks.append((b'eXIf', metadata.exif.removeprefix(b'Exif\0\0')))
    return png[:PNG_HEADER] + b''.join(chunk(*part) for part in chunks) + png[PNG_HEADER:]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def pillow_options(metadata: Metadata) -> dict[str, Any]:
    """What Pillow's save is told, for formats that take it."""
    known: Iterable = (('icc_profile', metadata.profile), ('exif', metadata.exif), ('dpi', metadata.dpi))
    return {name: value for name, value in known if value}


def tiff_options(metadata: Metadata) -> dict[str, Any]:
    """What tifffile's writer is told."""
    options: dict[str, Any] = {'extratags': list(metadata.geography)}
    if metadata.profile:
        options['iccprofile'] = metadata.profile
    if metadata.dpi:
        options |= {'resolution': metadata.dpi, 'resolutionunit': 'INCH'}
    return options
