"""Cutting large images into overlapping squares, so that training need not decode 2K images for small patches."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np


def cut_folder(files: dict[str, Path], out: Path, *, size: int, step: int) -> int:
    """Write the squares of each image {name: file} as OUT/NAME_s001.png ..., losslessly; returns how many.

    They are written beside their place and renamed, so that what is there is complete.

    size, step: side of the squares, and distance from one to the next, in pixels. Raises ValueError for a file that
    cannot be read, a step that leaves gaps, or an `out` that holds something.
    """
    if not 0 < step <= size:
        raise ValueError(f'step must be between 1 and the size, {size}, got {step}.')
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"The folder '{out}' is not empty; remove it first, or write to another.")
    out = out.resolve()
    unfinished = out.with_name(f'{out.name}.part')
    if any(path.is_file() and path.suffix != '.png' for path in unfinished.rglob('*')):
        raise ValueError(f"'{unfinished}' is in the way and holds other files than unfinished squares; move it.")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    count = 0
    for name, file in files.items():
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise ValueError(f"'{file}' cannot be decoded: it is damaged or not an image.")
        (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
        for number, square in enumerate(squares(image, size, step), 1):
            if not cv2.imwrite(str(unfinished / f'{name}_s{number:03d}.png'), square):
                raise ValueError(f"'{unfinished}' cannot be written: is the disk full?")
            count += 1
    if out.is_dir():
        out.rmdir()
    unfinished.rename(out)
    return count


def squares(image: np.ndarray, size: int, step: int) -> Iterator[np.ndarray]:
    """Row by row; the last of each row and column ends at the border. A smaller image is one, as it is."""
    for top in starts(image.shape[0], size, step):
        for left in starts(image.shape[1], size, step):
            yield image[top : top + size, left : left + size]


def starts(length: int, size: int, step: int) -> list[int]:
    last = max(0, length - size)
    return sorted({*range(0, last + 1, step), last})
