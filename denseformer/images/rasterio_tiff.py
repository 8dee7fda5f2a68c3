"""Regions of TIFF files that tifffile does not decode by itself (LZW, JPEG, LERC ..., planar channels), by rasterio.

Tags are read by tifffile in either case, so georeferences take one path.

Legend: h w region, C channels.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from denseformer.images.tiffs import RasterioNeededError, TiffReader


def open_tiff(path: str | Path, page: int = 0) -> TiffReader:
    """A page of a TIFF file, to be read region by region; raises ValueError for one that cannot be."""
    try:
        return TiffReader(path, page)
    except RasterioNeededError:
        if find_spec('rasterio') is None:
            raise
    return RasterioTiffReader(path, page)


class RasterioTiffReader(TiffReader):
    """Decodes by rasterio, which has a cache of its own."""

    def __init__(self, path: str | Path, page: int = 0):
        import rasterio

        super().__init__(path, page)
        try:
            self.raster = rasterio.open(path if page == 0 else f'GTIFF_DIR:{page + 1}:{path}')
        except rasterio.errors.RasterioIOError as error:
            raise ValueError(f"'{path}' cannot be read by rasterio: {error}") from error

    def _check_codec(self) -> None:
        """Left to rasterio."""

    def _decode(self, rows: slice, columns: slice) -> np.ndarray:
        from rasterio.errors import RasterioIOError
        from rasterio.windows import Window

        try:
            channels = self.raster.read(window=Window.from_slices(rows, columns))  # (C, h, w)
        except RasterioIOError as error:
            raise ValueError(f"'{self.path}' cannot be decoded: {error}") from error
        return np.ascontiguousarray(channels.transpose(1, 2, 0))

    def close(self) -> None:
        self.raster.close()
        super().close()
