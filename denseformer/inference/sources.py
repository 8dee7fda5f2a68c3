"""Sources of images: files, videos, folders, globs, list files, cameras, images in memory, or several of these."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

from denseformer.images.folders import IMAGES, VIDEOS, files_below
from denseformer.images.limits import MAX_PIXELS
from denseformer.images.picture import Picture, picture_of_array, picture_of_pillow
from denseformer.images.reading import decode_image, pages_of
from denseformer.images.video_files import VideoReader

Source = str | Path | int | np.ndarray | Image.Image | bytes | BinaryIO
SUPPORTED = (
    'the path of an image, a video, a folder or a .txt list of images, a glob, the number of a camera, the URL of a '
    "stream, a numpy array (H, W, 3) in B, G, R order, a Pillow image, an image file's bytes, or a list of these"
)


@dataclass(frozen=True)
class SourceItem:
    """One image or video to predict on.

    name: its path below its source; page: of a file that holds several images, counted from 0; picture: an image in
    memory; stream: the number of a camera, or the URL of a stream.
    """

    name: PurePosixPath
    path: Path | None = None
    page: int | None = None
    picture: Picture | None = None
    stream: int | str | None = None

    @property
    def file(self) -> Path:
        """The file that holds the image."""
        if self.path is None:
            raise ValueError(f"'{self.name}' is an image in memory or a stream: it is in no file.")
        return self.path

    @property
    def is_video(self) -> bool:
        return self.stream is not None or (self.path is not None and self.path.suffix.lower() in VIDEOS)

    @property
    def video(self) -> Path | str | int:
        """The file or stream that `VideoReader` opens."""
        return self.file if self.stream is None else self.stream

    @property
    def pixels(self) -> np.ndarray | None:
        """(H, W, 3) uint8, B, G, R, of an image in memory."""
        return None if self.picture is None else self.picture.as_bgr8()


def find_items(source: Source | Iterable[Source]) -> Iterator[SourceItem]:
    """The images and videos of a source, in the order of their names; of a list of sources, in the order of the list.

    Their names are distinct. Raises ValueError for a source that is missing, holds no image, or is of another kind.
    """
    if isinstance(source, (str, Path)):
        for item in find_files(source):
            yield from pages(item)
    elif isinstance(source, int):
        yield camera(source)
    elif (picture := picture_in_memory(source)) is not None:
        yield SourceItem(PurePosixPath('image.png'), picture=picture)
    elif not isinstance(source, Iterable) or hasattr(source, '__array__'):
        raise ValueError(f'A source of type {type(source).__name__} is not supported. Supported are {SUPPORTED}.')
    else:
        taken: set[PurePosixPath] = set()
        for i, part in enumerate(source):
            for item in find_items(part):
                name = item.name if item.picture is None else PurePosixPath(f'{i:06d}.png')
                while name in taken:
                    name = name.with_name(f'{name.stem}_{i}{name.suffix}')
                taken.add(name)
                yield replace(item, name=name)


def picture_in_memory(source: object) -> Picture | None:
    """The picture of an array, a Pillow image, or an image file's content; None for another source."""
    if isinstance(source, Image.Image):
        return picture_of_pillow(source)
    if isinstance(source, np.ndarray):
        return picture_of_array(source)
    content = source.read() if hasattr(source, 'read') else source
    if isinstance(content, (bytes, bytearray)):
        return decode_image('image in memory', bytes(content))
    return None


def camera(number: int) -> SourceItem:
    """The camera of a number, as OpenCV counts them."""
    return SourceItem(PurePosixPath(f'camera{number}.mp4'), stream=number)


def pages(item: SourceItem) -> Iterator[SourceItem]:
    """The images in a file: itself, or one per page of a TIFF file that has several."""
    numbers = pages_of(item.path) if item.path and item.path.suffix.lower() in ('.tif', '.tiff') else [0]
    if len(numbers) == 1:
        yield item
        return
    for i, number in enumerate(numbers, 1):
        yield replace(item, name=item.name.with_name(f'{item.name.stem}_page{i:03d}{item.name.suffix}'), page=number)


def frames_of(item: SourceItem, max_pixels: int = MAX_PIXELS) -> Iterator[SourceItem]:
    """The frames of a video as images to predict on, named <video>/000001.png ..."""
    with VideoReader(item.video, max_pixels) as video:
        for frame in iter(video.read, None):
            yield frame_item(item, video.count, frame)


def frame_item(item: SourceItem, number: int, frame: Picture) -> SourceItem:
    """A frame of a video, counted from 1."""
    return SourceItem(item.name.with_suffix('') / f'{number:06d}.png', picture=frame)


def find_files(source: str | Path) -> Iterator[SourceItem]:
    """The files or the stream that a text names; raises ValueError where there is none."""
    path = Path(source)
    if '://' in str(source):
        yield SourceItem(PurePosixPath(f'{path.stem or "stream"}.mp4'), stream=str(source))
        return
    if path.is_dir():
        files, root = [file for file in files_below(path) if is_known(file)], path
    elif path.suffix == '.txt' and path.is_file():
        files, root = listed_files(path), path.parent
    elif path.is_file():
        files, root = [path], path.parent
    elif glob.has_magic(str(source)):
        files = sorted(Path(file) for file in glob.glob(str(source), recursive=True) if Path(file).is_file())
        root = fixed_part(str(source))
    elif str(source).isdecimal():
        yield camera(int(str(source)))
        return
    else:
        raise ValueError(f"There is no file or folder '{source}'. A source is {SUPPORTED}.")
    if not files:
        raise ValueError(f"'{source}' holds no image or video; looked for {' '.join(sorted(IMAGES | VIDEOS))}.")
    for file in files:
        yield SourceItem(name_below(file, root), path=file)


def is_known(file: Path) -> bool:
    """Whether a file is an image or a video by its suffix."""
    return file.suffix.lower() in IMAGES | VIDEOS


def other_files(source: Source | Iterable[Source], out: Path) -> Counter[str]:
    """The files of a source's folders that are neither images nor videos, counted by suffix; those of `out` aside."""
    if isinstance(source, (str, Path)):
        folder, out = Path(source), out.resolve()
        found = files_below(folder) if folder.is_dir() else ()
        others = (file for file in found if not is_known(file) and out not in file.resolve().parents)
        return Counter(file.suffix.lower() or 'no suffix' for file in others)
    parts = source if isinstance(source, (list, tuple)) else ()
    return sum((other_files(part, out) for part in parts), Counter())


def listed_files(path: Path) -> list[Path]:
    """The files that a list names, one per line, relative to its folder, with or without suffix.

    Blank lines and # comments do not count. Raises ValueError for a line without a file, naming list and line.
    """
    lines = enumerate((line.strip() for line in path.read_text().splitlines()), 1)
    return [listed_file(path, number, line) for number, line in lines if line and not line.startswith('#')]


def listed_file(path: Path, number: int, line: str) -> Path:
    """The file that a line of a list names."""
    file = path.parent / line
    if file.exists() or file.is_symlink():
        return file
    named = [file.with_name(file.name + suffix) for suffix in sorted(IMAGES | VIDEOS)]
    found = [candidate for candidate in named if candidate.exists()]
    if len(found) == 1:
        return found[0]
    fault = f'{len(found)} files are called so' if found else 'there is no such file, with or without a suffix'
    raise ValueError(f"'{path}', line {number}: '{line}': {fault}. Names are relative to the folder of the list.")


def fixed_part(pattern: str) -> Path:
    """The folder above the first part of a glob that has a wildcard: 'a/b/*/c*.png' -> a/b."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def name_below(file: Path, root: Path) -> PurePosixPath:
    """The path of `file` below `root`; that of a file elsewhere without what would lead out of the output."""
    absolute = Path(os.path.abspath(file))  # links keep their own names, not those of their targets
    try:
        return PurePosixPath(absolute.relative_to(os.path.abspath(root)).as_posix())
    except ValueError:
        return PurePosixPath(*absolute.parts[1:])
