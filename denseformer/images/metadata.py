"""Metadata of image files that a restored image keeps: ICC profile, EXIF data, resolution, georeference."""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from PIL import ExifTags, Image

PNG_HEADER = 33
"""Bytes of a PNG file before its second chunk."""
KEEPS_EXIF = ('JPEG', 'MPO', 'PNG', 'WEBP')
SIZES = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
TRANSPOSED = (5, 6, 7, 8)
"""Orientations in which rows are columns."""
PROFILE_SPACES = {1: b'GRAY', 3: b'RGB '}
"""The color space that an ICC profile's header names, by the number of channels it is for."""


@dataclass(frozen=True)
class Metadata:
    """icc_profile, exif: as files hold them, EXIF data without the orientation; dpi: pixels per inch, across and down;
    geo_tags: the TIFF tags of a georeference."""

    icc_profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    geo_tags: list = field(default_factory=list)

    def upscaled(self, scale: int) -> 'Metadata':
        """The metadata of an image of `scale` times the pixels, as large on paper."""
        return self if self.dpi is None else replace(self, dpi=(self.dpi[0] * scale, self.dpi[1] * scale))

    def fitting(self, channels: int, orientation: int) -> 'Metadata':
        """The metadata of the upright image, without a profile for other channels, as that of a CMYK image is."""
        fits = self.icc_profile is not None and self.icc_profile[16:20] == PROFILE_SPACES.get(channels)
        dpi = self.dpi[::-1] if self.dpi and orientation in TRANSPOSED else self.dpi
        return replace(self, icc_profile=self.icc_profile if fits else None, dpi=dpi)


def metadata_of(header: Image.Image, data: bytes, path: str | Path) -> tuple[Metadata, int]:
    """The metadata of the file `data`, opened as `header`, and its EXIF orientation, 1 to 8."""
    orientation, carried = 1, None
    try:
        exif = header.getexif() if may_have_exif(header, data) else Image.Exif()
        orientation = exif.pop(ExifTags.Base.Orientation, 1)
        for size in SIZES:
            exif.get_ifd(ExifTags.IFD.Exif).pop(size, None)
        carried = exif.tobytes() if len(exif) and header.format in KEEPS_EXIF else None
    except (ValueError, TypeError, KeyError, SyntaxError, OSError, OverflowError, struct.error) as error:
        MMLogger.get_current_instance().warning(f"'{path}': its EXIF data is damaged and left out: {error}")
    dpi = tuple(float(value) for value in header.info.get('dpi', ()))
    usable = len(dpi) == 2 and all(0 < value < 1e6 for value in dpi)
    return Metadata(header.info.get('icc_profile'), carried, (dpi[0], dpi[1]) if usable else None), orientation


def may_have_exif(header: Image.Image, data: bytes) -> bool:
    """Whether to ask Pillow, which decodes a whole PNG file to find out: its chunks are looked for first."""
    return header.format != 'PNG' or b'eXIf' in data or b'Raw profile type exif' in data


def png_with(png: bytes, metadata: Metadata) -> bytes:
    """A PNG file with chunks for its metadata."""
    chunks = []
    if metadata.icc_profile:
        chunks.append((b'iCCP', b'ICC profile\0\0' + zlib.compress(metadata.icc_profile)))
    if metadata.dpi:
        chunks.append((b'pHYs', struct.pack('>IIB', *(round(value / 0.0254) for value in metadata.dpi), 1)))
    if metadata.exif:
        chunks.append((b'eXIf', metadata.exif.removeprefix(b'Exif\0\0')))
    return png[:PNG_HEADER] + b''.join(chunk(*part) for part in chunks) + png[PNG_HEADER:]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def pillow_options(metadata: Metadata) -> dict[str, Any]:
    """Arguments of Pillow's save, for formats that take metadata."""
    known: Iterable = (('icc_profile', metadata.icc_profile), ('exif', metadata.exif), ('dpi', metadata.dpi))
    return {name: value for name, value in known if value}


def tiff_options(metadata: Metadata) -> dict[str, Any]:
    """Arguments of tifffile's writer."""
    options: dict[str, Any] = {'extratags': list(metadata.geo_tags)}
    if metadata.icc_profile:
        options['iccprofile'] = metadata.icc_profile
    if metadata.dpi:
        options |= {'resolution': metadata.dpi, 'resolutionunit': 'INCH'}
    return options
