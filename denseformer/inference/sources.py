"""What can be predicted on: an image, a video, a folder, a glob, a list file, an array, a Pillow image, or several."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from denseformer.images.reading import Picture, pages_of, picture_of, picture_of_pillow

SUFFIXES = frozenset(
    '.bmp .dib .gif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp'.split()  # noqa: SIM905
)
"""Endings by which a folder's files are taken for images; files named one by one may have any."""
VIDEOS = frozenset('.avi .m4v .mkv .mov .mp4 .mpeg .mpg .webm .wmv'.split())  # noqa: SIM905
"""Endings by which files are taken for videos."""

Source = str | Path | np.ndarray | Image.Image


@dataclass(frozen=True)
class Item:
    """One image or video to predict on: where it stands below its source, and the file, page or picture it is.

    page: of a file that holds several images, counted from 0.
    """

    name: PurePosixPath
    path: Path | None = None
    page: int | None = None
    picture: Picture | None = None

    @property
    def file(self) -> Path:
        """The file that holds the image."""
        if self.path is None:
            raise ValueError(f"'{self.name}' was given as an array: it is in no file.")
        return self.path

    @property
    def is_video(self) -> bool:
        return self.path is not None and self.path.suffix.lower() in VIDEOS

    @property
    def pixels(self) -> np.ndarray | None:
        """(H, W, 3) uint8, B, G, R, of an image that was given as such."""
        return None if self.picture is None else self.picture.as_bgr8()


def find_items(source: Source | Iterable[Source]) -> Iterator[Item]:
    """The images and videos of a source, in the order of their names; of a list of sources, in the order of the list.

    No two are called the same. Raises ValueError when the source is missing or holds no image.
    """
    if isinstance(source, (Image.Image, np.ndarray)):
        picture = picture_of_pillow(source) if isinstance(source, Image.Image) else picture_of(source)
        yield Item(PurePosixPath('image.png'), picture=picture)
    elif isinstance(source, (str, Path)):
        for item in find_files(source):
            yield from pages(item)
    else:
        taken: set[PurePosixPath] = set()
        for i, part in enumerate(source):
            for item in find_items(part):
                name = item.name if item.picture is None else PurePosixPath(f'{i:06d}.png')
                while name in taken:
                    name = name.with_name(f'{name.stem}_{i}{name.suffix}')
                taken.add(name)
                yield replace(item, name=name)


def pages(item: Item) -> Iterator[Item]:
    """The images in a file: itself, or one per page of a TIFF file that has several."""
    numbers = pages_of(item.path) if item.path and item.path.suffix.lower() in ('.tif', '.tiff') else [0]
    if len(numbers) == 1:
        yield item
        return
    for i, number in enumerate(numbers, 1):
        yield replace(item, name=item.name.with_name(f'{item.name.stem}_page{i:03d}{item.name.suffix}'), page=number)


def find_files(source: str | Path) -> Iterator[Item]:
    path = Path(source)
    if path.is_dir():
        files, root = files_below(path), path
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
        raise ValueError(f"'{source}' holds no image or video; looked for {' '.join(sorted(SUFFIXES | VIDEOS))}.")
    for file in files:
        yield Item(name_below(file, root), path=file)


def files_below(folder: Path) -> list[Path]:
    """Images and videos of a folder and its sub-folders; what is hidden, such as ._a.jpg, is left alone."""
    known = SUFFIXES | VIDEOS
    found = (file for file in folder.rglob('*') if file.suffix.lower() in known and not file.is_dir())
    return sorted(file for file in found if not any(part[0] == '.' for part in file.relative_to(folder).parts))


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
    absolute = Path(os.path.abspath(file))  # links are called as they are, not as what they lead to
    try:
        return PurePosixPath(absolute.relative_to(os.path.abspath(root)).as_posix())
    except ValueError:
        return PurePosixPath(*absolute.parts[1:])
