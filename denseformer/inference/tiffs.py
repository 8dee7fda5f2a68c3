"""TIFF files too large for memory: read window by window, written band by band; and what places a file on the earth.

Legend: H W image, h w window, C channels.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

REMEMBERED = 256 << 20
"""Bytes of strips or tiles that are kept decoded."""
TILE = 256
MODEL_PIXEL_SCALE, MODEL_TIEPOINT, MODEL_TRANSFORMATION = 33550, 33922, 34264
GEO_TAGS = (MODEL_PIXEL_SCALE, MODEL_TIEPOINT, MODEL_TRANSFORMATION, 34735, 34736, 34737)


class WindowedTiff:
    """A page of a TIFF file of which only windows are read: strips and tiles of 8 or 16 bits, grey or R, G, B(, A).

    Raises ValueError for a file that is none, or is stored in another way.
    """

    def __init__(self, path: str | Path, page: int = 0):
        self.path = Path(path)
        try:
            self.file = tifffile.TiffFile(self.path)
            self.page = stored = self.file.pages[page].aspage()
        except (tifffile.TiffFileError, OSError, ValueError, IndexError) as error:
            raise ValueError(f"'{path}' cannot be read as a TIFF file: {error}") from error
        if stored.dtype not in (np.uint8, np.uint16) or stored.planarconfig != 1 or stored.photometric not in (0, 1, 2):
            raise ValueError(
                f"'{path}' cannot be read in windows: it holds {stored.dtype} pixels, {stored.photometric!r}. "
                'Convert it to interleaved grey or RGB of 8 or 16 bits.'
            )
        self.size: tuple[int, int] = (stored.imagelength, stored.imagewidth)
        self.dtype = np.dtype(stored.dtype)
        self.channels: int = stored.samplesperpixel
        self.decoded: OrderedDict[int, np.ndarray] = OrderedDict()

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """(h, w, C) of the file's type, R, G, B."""
        top, left = rows.start, columns.start
        window = np.empty((rows.stop - top, columns.stop - left, self.channels), self.dtype)
        high, wide = self._segment_size()
        across = -(-self.size[1] // wide)
        for i in range(top // high, (rows.stop - 1) // high + 1):
            for j in range(left // wide, (columns.stop - 1) // wide + 1):
                segment = self._segment(i * across + j)
                y, x = i * high - top, j * wide - left
                part = segment[max(-y, 0) : rows.stop - i * high, max(-x, 0) : columns.stop - j * wide]
                window[max(y, 0) : max(y, 0) + len(part), max(x, 0) : max(x, 0) + part.shape[1]] = part
        return window

    def _segment_size(self) -> tuple[int, int]:
        if self.page.is_tiled:
            return self.page.tilelength, self.page.tilewidth
        return min(self.page.rowsperstrip, self.size[0]), self.size[1]

    def _segment(self, index: int) -> np.ndarray:
        """A strip or tile, (h, w, C); those at the image's end may be larger than it."""
        if index in self.decoded:
            self.decoded.move_to_end(index)
            return self.decoded[index]
        self.file.filehandle.seek(self.page.dataoffsets[index])
        data = self.file.filehandle.read(self.page.databytecounts[index])
        try:
            segment, _, _ = self.page.decode(data, index, jpegtables=self.page.jpegtables)
        except (ValueError, RuntimeError, OSError, ImportError) as error:
            raise ValueError(f"'{self.path}': part {index} cannot be decoded: {error}") from error
        high, wide = self._segment_size()
        if segment is None:  # stored as nothing
            segment = np.full((1, high, wide, self.channels), self.page.nodata, self.dtype)
        self.decoded[index] = segment[0]
        while len(self.decoded) > 1 and len(self.decoded) * segment[0].nbytes > REMEMBERED:
            self.decoded.popitem(last=False)
        return segment[0]

    def geography(self, scale: int = 1) -> list[tuple[int, int, int, Any, bool]]:
        """The tags that place an image `scale` times as large on the earth; empty where the file has none."""
        return geo_tags(self.page, scale)

    def close(self) -> None:
        self.file.close()


def geo_tags(page: tifffile.TiffPage, scale: int) -> list[tuple[int, int, int, Any, bool]]:
    tags = []
    for code in GEO_TAGS:
        tag = page.tags.get(code)
        if tag is not None:
            tags.append((code, int(tag.dtype), tag.count, rescaled(code, tag.value, scale), True))
    return tags


def rescaled(code: int, value: Any, scale: int) -> Any:
    """A georeference's numbers for pixels `scale` times as small."""
    if code == MODEL_PIXEL_SCALE:
        return (value[0] / scale, value[1] / scale, *value[2:])
    if code == MODEL_TIEPOINT:  # row, column and height in the image, then on the earth
        return tuple(number * scale if i % 6 < 2 else number for i, number in enumerate(value))
    if code == MODEL_TRANSFORMATION:
        return tuple(number / scale if i % 4 < 2 and i < 12 else number for i, number in enumerate(value))
    return value


def geography_of(path: Path, page: int, scale: int = 1) -> list[tuple[int, int, int, Any, bool]]:
    """The same for any TIFF file, whatever it stores."""
    with tifffile.TiffFile(path) as file:
        return geo_tags(file.pages[page].aspage(), scale)


@dataclass(frozen=True)
class Layout:
    """A TIFF file to be written: its size (H, W), channels (R, G, B order), type, class colours and georeference."""

    size: tuple[int, int]
    channels: int
    dtype: np.dtype
    geography: list[tuple[int, int, int, Any, bool]]
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
            tiles(bands), shape=shape, dtype=layout.dtype, tile=(TILE, TILE), compression='zlib', metadata=None,
            extratags=layout.geography, **options,
        )  # fmt: skip


def tiles(bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Bands of any height as tiles, row by row; those at the image's end are smaller."""
    waiting: list[np.ndarray] = []
    for band in bands:
        waiting.append(band)
        if sum(map(len, waiting)) >= TILE:
            rows = np.concatenate(waiting)
            whole = len(rows) // TILE * TILE
            yield from cut(rows[:whole])
            waiting = [rows[whole:].copy()]
    yield from cut(np.concatenate(waiting))


def cut(rows: np.ndarray) -> Iterator[np.ndarray]:
    for top in range(0, len(rows), TILE):
        for left in range(0, rows.shape[1], TILE):
            yield np.ascontiguousarray(rows[top : top + TILE, left : left + TILE])
