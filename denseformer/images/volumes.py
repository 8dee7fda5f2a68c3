"""Volumes of medical images, NIfTI files (.nii, .nii.gz), as stacks of slices; read and written by nibabel.

A file's first axis becomes the columns of a slice, the second its rows, and the third numbers the slices.

Legend: Z slices, H W slice.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = ('.nii', '.nii.gz')
CACHED = 2
"""Volumes that a process keeps decoded: an image and its labels."""


@dataclass(frozen=True, eq=False)
class Volume:
    """values: (Z, H, W) as the file scales them; range: the least and the greatest finite one; image: nibabel's, which
    knows the place in the scanner."""

    values: np.ndarray
    range: tuple[float, float]
    image: Any

    def gray(self, window: Sequence[float] | None) -> np.ndarray:
        """(Z, H, W) uint8, as `as_gray` has it; None for the volume's whole range."""
        return as_gray(self.values, self.range if window is None else window)


def is_volume(name: str | Path) -> bool:
    """Whether a file is a volume by its suffix."""
    return str(name).lower().endswith(SUFFIXES)


def volume_stem(name: str) -> str:
    """The name without its suffix."""
    return name[: -len(next(suffix for suffix in reversed(SUFFIXES) if name.lower().endswith(suffix)))]


def open_volume(path: str | Path) -> Any:
    """nibabel's image of a file, whose values are not read yet.

    Raises ValueError for a file that is missing or no volume of three axes, and ImportError where nibabel is missing.
    """
    try:
        import nibabel
    except ImportError as error:
        raise ImportError("Volumes are read by nibabel: pip install 'denseformer[volumes]'.") from error
    try:
        image: Any = nibabel.load(path)
    except (OSError, nibabel.filebasedimages.ImageFileError) as error:
        raise ValueError(f"The volume '{path}' cannot be read: {error}.") from error
    if len(image.shape) != 3:
        raise ValueError(
            f"'{path}' has {len(image.shape)} axes, {image.shape}; a volume has three. Store each point in time, or "
            'each contrast, in a file of its own.'
        )
    return image


@lru_cache(CACHED)
def read_volume(path: str | Path) -> Volume:
    """The values of a volume; raises what `open_volume` does, and ValueError for a file that is damaged, or that holds
    no finite real numbers."""
    image = open_volume(path)
    try:
        values = np.asarray(image.dataobj)  # (W, H, Z)
    except Exception as error:  # gzip, zlib and nibabel have errors of their own
        raise ValueError(f"The volume '{path}' cannot be read to its end: {error}.") from error
    if values.dtype.kind not in 'iuf':
        raise ValueError(f"The volume '{path}' holds {values.dtype} values; real numbers are legal.")
    finite = values[np.isfinite(values)] if values.dtype.kind == 'f' else values
    if not finite.size:
        raise ValueError(f"The volume '{path}', {values.shape}, has no finite value.")
    return Volume(values.transpose(2, 1, 0), (float(finite.min()), float(finite.max())), image)


def spacing_of(image: Any) -> tuple[float, float, float]:
    """Millimeters between voxels of nibabel's image along Z, H and W."""
    width, height, depth = map(float, image.header.get_zooms()[:3])
    return depth, height, width


def as_gray(values: np.ndarray, window: Sequence[float]) -> np.ndarray:
    """Values as 0 .. 255 uint8; window: the two that become 0 and 255, beyond which others are clipped. NaN is 0."""
    low, high = window
    if not low < high:
        return np.zeros(values.shape, np.uint8)
    clipped = np.nan_to_num(np.clip(values, low, high).astype(np.float64), nan=low)
    return np.round(255 * (clipped - low) / (high - low)).astype(np.uint8)


def write_labels(path: str | Path, labels: np.ndarray, like: Volume) -> None:
    """Write labels (Z, H, W) uint8 or uint16 as a NIfTI file, gzipped, at the place in the scanner of `like`."""
    import nibabel

    image = nibabel.Nifti1Image(labels.transpose(2, 1, 0), like.image.affine)
    image.header.set_xyzt_units(*like.image.header.get_xyzt_units())
    Path(path).write_bytes(gzip.compress(image.to_bytes(), mtime=0))
