"""TIFF files too large for memory: read region by region, written band by band; georeferences.

Legend: H W image, h w region, C channels.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from denseformer.images.metadata import Metadata, tiff_options
from denseformer.images.picture import DTYPES, check_unit_range
from denseformer.images.reading import TIFF_FAULTS

CACHE_BYTES = 256 << 20
"""Bytes of decoded strips or tiles that are cached."""
TILE_SIDE = 256
ORIENTATION = 274
GRAY, RGB = 1, 2
YCBCR_JPEG = (6, 7)
MODEL_PIXEL_SCALE, MODEL_TIEPOINT, MODEL_TRANSFORMATION = 33550, 33922, 34264
GEO_TAGS = (MODEL_PIXEL_SCALE, MODEL_TIEPOINT, MODEL_TRANSFORMATION, 34735, 34736, 34737)
GeoTag = tuple[int, int, int, Any, bool]
"""A tag as tifffile writes it: code, type, count, value, whether it stands once in the file."""


class RasterioNeededError(ValueError):
    """A TIFF file that rasterio decodes and tifffile does not."""


class TiffReader:
    """Reads regions of a page of a TIFF file: strips and tiles, gray or R, G, B(, A), of 8 or 16 bits or float32 in
    [0, 1].

    Raises ValueError for a file that is no TIFF file, or is stored in another way.
    """

    def __init__(self, path: str | Path, page: int = 0):
        self.path = Path(path)
        try:
            self.file = tifffile.TiffFile(self.path)
            self.page = self.file.pages[page].aspage()
        except TIFF_FAULTS as error:
            raise ValueError(f"'{path}' cannot be read as a TIFF file: {error}") from error
        check_storage(self.path, self.page)
        self._check_codec()
        self.size: tuple[int, int] = (self.page.imagelength, self.page.imagewidth)
        self.dtype = np.dtype(self.page.dtype)
        self.channels: int = self.page.samplesperpixel
        self.decoded: OrderedDict[int, int] = OrderedDict()
        """The slot of each cached strip or tile, the least recently used first."""
        self.slots = self._empty_slots()
        self.mapped = self.page.asarray(out='memmap') if self.page.is_memmappable else None

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """(h, w, C) of the file's type, R, G, B; raises ValueError for parts that are damaged or outside [0, 1]."""
        region = self._decode(rows, columns)
        try:
            check_unit_range(region)
        except ValueError as error:
            raise ValueError(f"'{self.path}': {error}") from error
        return region

    def _check_codec(self) -> None:
        page = self.page
        known = page.compression in tifffile.TIFF.DECOMPRESSORS
        if known and (page.planarconfig == 1 or page.samplesperpixel == 1):
            return
        codec = getattr(page.compression, 'name', page.compression)
        stored = 'its channels are stored apart (planar)' if known else f'it is compressed by {codec}'
        raise RasterioNeededError(
            f"'{self.path}' cannot be read region by region: {stored}. Install denseformer[geo], or convert the file "
            'to zlib and interleaved channels.'
        )

    def _decode(self, rows: slice, columns: slice) -> np.ndarray:
        if self.mapped is not None:
            return np.array(self.mapped[rows, columns]).reshape(rows.stop - rows.start, -1, self.channels)
        top, left = rows.start, columns.start
        region = np.empty((rows.stop - top, columns.stop - left, self.channels), self.dtype)
        high, wide = self._segment_size()
        across = -(-self.size[1] // wide)
        for i in range(top // high, (rows.stop - 1) // high + 1):
            for j in range(left // wide, (columns.stop - 1) // wide + 1):
                segment = self._segment(i * across + j)
                y, x = i * high - top, j * wide - left
                part = segment[max(-y, 0) : rows.stop - i * high, max(-x, 0) : columns.stop - j * wide]
                region[max(y, 0) : max(y, 0) + len(part), max(x, 0) : max(x, 0) + part.shape[1]] = part
        return region

    def _segment_size(self) -> tuple[int, int]:
        if self.page.is_tiled:
            return self.page.tilelength, self.page.tilewidth
        return min(self.page.rowsperstrip, self.size[0]), self.size[1]

    def _empty_slots(self) -> np.ndarray:
        """The cache of decoded parts, allocated once: arrays that come and go among larger ones fragment memory."""
        shape = (*self._segment_size(), self.channels)
        nbytes = int(np.prod(shape)) * self.dtype.itemsize
        return np.empty((max(1, min(len(self.page.dataoffsets), CACHE_BYTES // nbytes)), *shape), self.dtype)

    def _segment(self, index: int) -> np.ndarray:
        """A strip or tile, (h, w, C); those at the image's end may be larger than it."""
        if index in self.decoded:
            self.decoded.move_to_end(index)
            return self.slots[self.decoded[index]]
        self.file.filehandle.seek(self.page.dataoffsets[index])
        data = self.file.filehandle.read(self.page.databytecounts[index])
        try:
            segment, _, _ = self.page.decode(data, index, jpegtables=self.page.jpegtables)
        except (ValueError, RuntimeError, OSError, ImportError) as error:
            raise ValueError(f"'{self.path}': part {index} cannot be decoded: {error}") from error
        full = len(self.decoded) == len(self.slots)
        slot = self.decoded.popitem(last=False)[1] if full else len(self.decoded)
        if segment is None:  # stored as nothing
            self.slots[slot] = self.page.nodata
        else:
            self.slots[slot, : segment.shape[1], : segment.shape[2]] = segment[0]
        self.decoded[index] = slot
        return self.slots[slot]

    def geo_tags(self, scale: int = 1) -> list[GeoTag]:
        """The georeference of an image `scale` times as large; empty where the file has none."""
        return page_geo_tags(self.page, scale)

    def close(self) -> None:
        self.file.close()


def check_storage(path: Path, page: tifffile.TiffPage) -> None:
    """Raise ValueError for a page whose regions `TiffReader` does not read."""
    if page.dtype not in DTYPES:
        fault = f'it holds {page.dtype} pixels; legal are 8 and 16 bits without sign, and float32'
    elif page.photometric not in (GRAY, RGB) and (page.photometric, page.compression) != YCBCR_JPEG:
        fault = f'its colors are stored as {page.photometric!r}; convert it to gray or RGB'
    elif page.tags.valueof(ORIENTATION, 1) != 1:
        fault = 'it is not stored upright; turn it'
    else:
        return
    raise ValueError(f"'{path}' cannot be read region by region: {fault}.")


def page_geo_tags(page: tifffile.TiffPage, scale: int) -> list[GeoTag]:
    """The georeference of an image `scale` times as large as the page."""
    tags = []
    for code in GEO_TAGS:
        tag = page.tags.get(code)
        if tag is not None:
            tags.append((code, int(tag.dtype), tag.count, rescaled(code, tag.value, scale), True))
    return tags


def rescaled(code: int, value: Any, scale: int) -> Any:
    """The value of a georeference's tag for pixels `scale` times as small."""
    if code == MODEL_PIXEL_SCALE:
        return (value[0] / scale, value[1] / scale, *value[2:])
    if code == MODEL_TIEPOINT:  # row, column and height in the image, then on the earth
        return tuple(number * scale if i % 6 < 2 else number for i, number in enumerate(value))
    if code == MODEL_TRANSFORMATION:
        return tuple(number / scale if i % 4 < 2 and i < 12 else number for i, number in enumerate(value))
    return value


def size_of(path: Path, page: int) -> tuple[int, int]:
    """(H, W) of a page, as its tags say."""
    try:
        with tifffile.TiffFile(path) as file:
            tags = file.pages[page].aspage()
            return tags.imagelength, tags.imagewidth
    except TIFF_FAULTS as error:
        raise ValueError(f"'{path}' cannot be read as a TIFF file: {error}") from error


def read_geo_tags(path: Path | BinaryIO, page: int, scale: int = 1) -> list[GeoTag]:
    """The georeference of an image `scale` times as large as a page of any TIFF file, whatever it stores."""
    with tifffile.TiffFile(path) as file:
        return page_geo_tags(file.pages[page].aspage(), scale)


@dataclass(frozen=True)
class Layout:
    """A TIFF file to be written.

    size: (H, W); channels: gray, or R, G, B(, A); palette: a color per class, of a mask.
    """

    size: tuple[int, int]
    channels: int
    dtype: np.dtype
    metadata: Metadata
    palette: Any = None


def write_bands(path: Path, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    """Write an image that comes in bands (h, W) or (h, W, C) from top to bottom, compressed, in tiles."""
    shape = layout.size if layout.channels == 1 else (*layout.size, layout.channels)
    options: dict[str, Any] = {'photometric': 'rgb' if layout.channels >= 3 else 'minisblack'}
    if layout.palette is not None:
        table = np.zeros((256, 3), np.uint16)
        table[: len(layout.palette)] = np.asarray(layout.palette, np.uint16) * 257
        options = {'photometric': 'palette', 'colormap': table.T}
    if layout.channels in (2, 4):
        options['extrasamples'] = ['unassalpha']
    nbytes = int(np.prod(shape)) * np.dtype(layout.dtype).itemsize
    with tifffile.TiffWriter(path, bigtiff=nbytes > 3 << 30) as writer:
        writer.write(
            tiles_of(bands), shape=shape, dtype=layout.dtype, tile=(TILE_SIDE, TILE_SIDE), compression='zlib',
            metadata=None, **options, **tiff_options(layout.metadata),
        )  # fmt: skip


def tiles_of(bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Bands of any height as the file's tiles, row by row; those at the image's end are smaller."""
    waiting: list[np.ndarray] = []
    for band in bands:
        waiting.append(band)
        if sum(map(len, waiting)) >= TILE_SIDE:
            rows = np.concatenate(waiting)
            whole = len(rows) // TILE_SIDE * TILE_SIDE
            yield from split_rows(rows[:whole])
            waiting = [rows[whole:].copy()]
    yield from split_rows(np.concatenate(waiting))


def split_rows(rows: np.ndarray) -> Iterator[np.ndarray]:
    for top in range(0, len(rows), TILE_SIDE):
        for left in range(0, rows.shape[1], TILE_SIDE):
            yield np.ascontiguousarray(rows[top : top + TILE_SIDE, left : left + TILE_SIDE])
