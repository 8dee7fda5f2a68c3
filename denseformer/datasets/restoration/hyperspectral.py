"""Hyperspectral images: cubes of many bands in MATLAB, NumPy and TIFF files.

Legend: H W image, C bands.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from mmcv.transforms import BaseTransform

from denseformer.images.reading import read_bytes
from denseformer.registry import TRANSFORMS

DARKEST, BRIGHTEST = 1 / 200, 2.0
"""Range of the largest value of a cube, the peak at 1: 8 bits under a peak of 16, and 0 .. 1, lie below it."""


@TRANSFORMS.register_module()
class LoadCube(BaseTransform):
    """Read `gt_path` as `gt_img` and, where the dataset has one, `img_path` as `img`, (H, W, C) float32.

    The dataset needs suffixes=('.mat', '.npy', '.tif'), or those of them that it has. A cube whose sides are no
    multiples of the scale is cropped on the right and at the bottom.

    Args:
        peak: the value that becomes 1, such as 65535 or the largest of the sensor.
        bands: of every cube; None for any number.
        scale: how many times larger the target is.
        variable: of a .mat file; None where it holds a single cube.
        bands_first: files hold (C, H, W).

    Raises ValueError for a file that cannot be read, is no cube, has another number of bands, holds values that are not
    finite, or whose largest value is below a 200th of the peak or above its double, which means another unit.
    """

    def __init__(
        self,
        *,
        peak: float,
        bands: int | None = None,
        scale: int = 1,
        variable: str | None = None,
        bands_first: bool = False,
    ):
        if peak <= 0:
            raise ValueError(f'peak must be positive, got {peak}.')
        self.peak = peak
        self.bands = bands
        self.scale = scale
        self.variable = variable
        self.bands_first = bands_first

    def transform(self, results: dict) -> dict:
        target = self.read(results['gt_path'])
        height, width = (side // self.scale * self.scale for side in target.shape[:2])
        results['gt_img'] = target[:height, :width]
        if 'img_path' in results:
            results['img'] = self.read(results['img_path'])
            if tuple(side * self.scale for side in results['img'].shape[:2]) != (height, width):
                raise ValueError(f"'{results['img_path']}' is not {self.scale} times smaller than its target.")
        return results

    def read(self, path: str) -> np.ndarray:
        """(H, W, C) float32, the peak at 1."""
        try:
            cube = read_cube(path, self.variable)
        except Exception as error:  # NumPy, SciPy and tifffile have no error in common for a damaged file
            raise ValueError(f"'{path}' cannot be read: {error}") from error
        if cube.ndim != 3:
            raise ValueError(f"'{path}' holds an array {cube.shape}; a cube has three axes.")
        cube = np.moveaxis(cube, 0, 2) if self.bands_first else cube
        if self.bands not in (None, cube.shape[2]):
            raise ValueError(
                f"'{path}' is {' x '.join(map(str, cube.shape))}, the last of which are its bands, and bands="
                f'{self.bands}. Set bands, or bands_first where the bands come first in the file.'
            )
        cube = np.ascontiguousarray(cube, np.float32) / np.float32(self.peak)
        if not np.isfinite(cube).all():
            raise ValueError(f"'{path}' holds values that are not finite; replace them, or leave the file out.")
        self._check_unit(path, float(np.abs(cube).max(initial=0)))
        return cube

    def _check_unit(self, path: str, largest: float) -> None:
        """Raise ValueError where the largest value, the peak at 1, says that the file is in another unit."""
        if not DARKEST <= largest <= BRIGHTEST:
            raise ValueError(
                f"The largest value of '{path}' is {largest * self.peak:g}, with peak={self.peak:g}. Set peak to what "
                'is white in the files, such as 1 for values in 0 .. 1, or leave the file out if it is black.'
            )


def black_bands(cube: np.ndarray) -> list[int]:
    """The bands of a cube (H, W, C) that are 0 everywhere."""
    return np.flatnonzero(~cube.any((0, 1))).tolist()


def read_cube(path: str, variable: str | None) -> np.ndarray:
    """The array in a .mat, .npy or .tif file, of whatever type and order."""
    suffix, content = Path(path).suffix.lower(), BytesIO(read_bytes(path, 'cube'))
    if suffix == '.npy':
        return np.load(content, allow_pickle=False)
    if suffix in ('.tif', '.tiff'):
        import tifffile

        return tifffile.imread(content)
    if suffix == '.mat':
        return read_matlab(content, variable)
    raise ValueError('cubes are .mat, .npy, .tif or .tiff files.')


def read_matlab(file: BinaryIO, variable: str | None) -> np.ndarray:
    from scipy.io import loadmat

    try:
        content: dict[str, Any] = loadmat(file)
    except NotImplementedError as error:
        raise ValueError("it is a MATLAB 7.3 file; save it in MATLAB with '-v7', or as .npy.") from error
    cubes = [name for name, value in content.items() if isinstance(value, np.ndarray) and value.ndim == 3]
    if variable is None and len(cubes) != 1:
        raise ValueError(f'it holds {len(cubes)} cubes ({", ".join(cubes)}); name one with variable=...')
    name = variable or cubes[0]
    if name not in content:
        raise ValueError(f"it has no variable '{name}'; its cubes are {', '.join(cubes)}.")
    return content[name]
