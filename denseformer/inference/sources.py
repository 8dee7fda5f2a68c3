"""What can be predicted on: an image, a folder, a glob, a list file, an array, a Pillow image, or several of them."""

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

SUFFIXES = frozenset(
    '.bmp .dib .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp'.split()  # noqa: SIM905
)
"""Endings by which a folder's files are taken for images; files named one by one may have any."""

Source = str | Path | np.ndarray | Image.Image


@dataclass(frozen=True)
class Item:
    """One image to predict on: where it stands below its source, and the file or the pixels (H, W, 3) in B, G, R."""

    name: PurePosixPath
    path: Path | None = None
    pixels: np.ndarray | None = None


def find_items(source: Source | Iterable[Source]) -> Iterator[Item]:
    """The images of a source, in the order of their names.

    Raises ValueError when the source is missing or holds no image.
    """
    if isinstance(source, Image.Image):
        source = np.asarray(source.convert('RGB'))[..., ::-1]
    if isinstance(source, np.ndarray):
        yield Item(PurePosixPath('image.png'), pixels=as_colour(source))
    elif isinstance(source, (str, Path)):
        yield from find_files(source)
    else:
        for i, part in enumerate(source):
            for item in find_items(part):
                yield Item(PurePosixPath(f'{i:06d}.png'), pixels=item.pixels) if item.path is None else item


def as_colour(pixels: np.ndarray) -> np.ndarray:
    """A grey (H, W) or colour (H, W, 3) array of 8-bit pixels as (H, W, 3)."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(
            f'An image array is (H, W) or (H, W, 3) uint8 in B, G, R order; got {pixels.shape} {pixels.dtype}.'
        )
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def find_files(source: str | Path) -> Iterator[Item]:
    path = Path(source)
    if path.is_dir():
        files = sorted(file for file in path.rglob('*') if file.suffix.lower() in SUFFIXES and file.is_file())
        root = path
    elif path.suffix == '.txt' and path.is_file():
        files, root = listed_files(path), path.parent
    elif path.is_file():
        files, root = [path], path.parent
    elif glob.has_magic(str(source)):
        files = sorted(Path(file) for file in glob.glob(str(source), recursive=True) if Path(file).is_file())
        root = fixed_part(str(source))
    else:
        raise ValueError(f"There is no file or folder '{source}'.")
    if not files:
        raise ValueError(f"'{source}' holds no image; looked for {' '.join(sorted(SUFFIXES))}.")
    for file in files:
        yield Item(name_below(file, root), path=file)


def listed_files(path: Path) -> list[Path]:
    """The files a list names, one per line, relative to the list's folder; empty lines and # comments do not count."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [path.parent / line for line in lines if line and not line.startswith('#')]


def fixed_part(pattern: str) -> Path:
    """The folder above the first part of a glob that has a wildcard: 'a/b/*/c*.png' -> a/b."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def name_below(file: Path, root: Path) -> PurePosixPath:
    """`file` as it stands below `root`; a file elsewhere keeps its path without what would lead out of the output."""
    try:
        return PurePosixPath(file.resolve().relative_to(root.resolve()).as_posix())
    except ValueError:
        return PurePosixPath(*(part for part in file.resolve().parts if part != file.resolve().anchor))
