"""Sources of images: files, videos, folders, globs, list files, cameras, images in memory, or several of these."""

import glob
import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import BytesIO
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from denseformer.images.folders import IMAGES, KNOWN, SORTED, VIDEOS, is_known, names_below
from denseformer.images.limits import MAX_PIXELS
from denseformer.images.picture import Picture, picture_of_array, picture_of_pillow
from denseformer.images.reading import decode_image, pages_of
from denseformer.images.video_files import VideoReader
from denseformer.images.volumes import Volume, is_volume, volume_stem
from denseformer.inference.shards import WHOLE, Shard
from denseformer.storage import is_local, is_stored, path_of

READABLE = IMAGES | {'.tar', '.txt'}
"""Suffixes of files that are read from the web."""
Source = str | Path | int | np.ndarray | Image.Image | bytes | BinaryIO
SUPPORTED = (
    'the path of an image, a video, a folder or a .txt list of images, a glob, the number of a camera, the URL of a '
    "stream, a numpy array (H, W, 3) in B, G, R order, a Pillow image, an image file's bytes, or a list of these"
)


@dataclass(frozen=True)
class SourceItem:
    """One image or video to predict on.

    name: its path below its source; page: of a file that holds several images, counted from 0; picture: an image in
    memory; content: of an image file in an archive; stream: the number of a camera, or the URL of a stream; fault: why
    there is no such file; renamed: the stem of its outputs where that of its name is another image's.
    """

    name: PurePosixPath
    path: Path | None = None
    page: int | None = None
    picture: Picture | None = None
    content: bytes | None = field(default=None, repr=False)
    stream: int | str | None = None
    fault: str | None = None
    renamed: PurePosixPath | None = None

    @property
    def stem(self) -> PurePosixPath:
        """The name of its outputs, without suffix."""
        if self.is_volume and self.renamed is None:
            return self.name.with_name(volume_stem(self.name.name))
        return self.renamed or self.name.with_suffix('')

    @property
    def file(self) -> Path:
        """The file that holds the image."""
        if self.fault is not None:
            raise ValueError(self.fault)
        if self.path is None:
            raise ValueError(f"'{self.name}' is an image in memory or a stream: it is in no file.")
        return self.path

    @property
    def is_video(self) -> bool:
        return self.stream is not None or (self.path is not None and self.path.suffix.lower() in VIDEOS)

    @property
    def is_volume(self) -> bool:
        """Whether it is a NIfTI file, a stack of slices."""
        return self.path is not None and is_volume(self.path)

    @property
    def video(self) -> Path | str | int:
        """The file or stream that `VideoReader` opens."""
        return self.file if self.stream is None else self.stream

    @property
    def pixels(self) -> np.ndarray | None:
        """(H, W, 3) uint8, B, G, R, of an image in memory."""
        return None if self.picture is None else self.picture.as_bgr8()


@dataclass
class Selection:
    """The part of a source that a run takes, and what was seen of the rest.

    shard: whose images are taken; without: the real path of a folder, the run's output, to leave out; seen: the number
    of images and videos of all shards; others: files of other kinds, counted by suffix.
    """

    shard: Shard = WHOLE
    without: str | None = None
    seen: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def takes(self, name: str) -> bool:
        """Count a name; whether it belongs to the shard."""
        self.seen += 1
        return self.shard.holds(name)


def find_items(source: Source | Iterable[Source], selection: Selection | None = None) -> Iterator[SourceItem]:
    """The images and videos of a source; of a list of sources, in the order of the list.

    They come as a stream: a folder's in the order of their names (`names_below`), a list file's as they stand there.
    The names are distinct, and so are those of their outputs (`stem`): images of a folder that differ only in their
    suffix keep it. Raises ValueError for a source that is missing, holds no image, or is of another kind.
    """
    selection = selection or Selection()
    if isinstance(source, (str, Path)):
        outputs = OutputNames()
        for item in find_files(source, selection):
            yield from images_in(item, outputs)
        return
    if isinstance(source, int):
        items: Iterable[SourceItem] = [camera(source)]
    elif (picture := picture_in_memory(source)) is not None:
        items = [SourceItem(PurePosixPath('image.png'), picture=picture)]
    elif not isinstance(source, Iterable) or hasattr(source, '__array__'):
        raise ValueError(f'A source of type {type(source).__name__} is not supported. Supported are {SUPPORTED}.')
    else:
        yield from items_of_all(source, selection)
        return
    yield from (item for item in items if selection.takes(str(item.name)))


def items_of_all(sources: Iterable[Source], selection: Selection) -> Iterator[SourceItem]:
    """The items of several sources, renamed where their outputs would have one name."""
    taken: set[PurePosixPath] = set()
    for i, part in enumerate(sources):
        whole = replace(selection, shard=WHOLE, seen=0)
        for item in find_items(part, whole):
            name, stem = item.name, item.stem
            if item.picture is not None:
                name = stem = PurePosixPath(f'{i:06d}')
                name = name.with_suffix('.png')
            while stem in taken:
                name, stem = name.with_name(f'{name.stem}_{i}{name.suffix}'), stem.with_name(f'{stem.name}_{i}')
            taken.add(stem)
            if selection.takes(str(name)):
                yield replace(item, name=name, renamed=stem)


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


def images_in(item: SourceItem, outputs: 'OutputNames') -> Iterator[SourceItem]:
    """The images in a file, of which a tar file and a TIFF file may have many, with the names of their outputs."""
    files = members(item) if is_archive(item.name) else [item]
    yield from map(outputs.named, chain.from_iterable(map(pages, files)))


def pages(item: SourceItem) -> Iterator[SourceItem]:
    """The images in a file: itself, or one per page of a TIFF file that has several."""
    numbers = page_numbers(item) if is_tiff(item.name) and item.fault is None and item.picture is None else [0]
    if len(numbers) == 1:
        yield item
        return
    for i, number in enumerate(numbers, 1):
        name = item.name.with_name(f'{item.name.stem}_page{i:03d}{item.name.suffix}')
        yield replace(item, name=name, page=number)


def page_numbers(item: SourceItem) -> list[int]:
    """The pages of a TIFF file; of one in a store its headers alone are read."""
    if item.content is not None:
        return pages_of(BytesIO(item.content))
    if is_local(item.file):
        return pages_of(item.file)
    try:
        with item.file.open('rb') as file:
            return pages_of(file)
    except Exception:  # each store has errors of its own; reading the image meets them again, and says so
        return [0]


def is_tiff(name: PurePosixPath) -> bool:
    return name.suffix.lower() in ('.tif', '.tiff')


def is_archive(name: PurePosixPath) -> bool:
    """Whether a file is a tar file of images, a shard in WebDataset's sense."""
    return name.suffix.lower() == '.tar'


def members(archive: SourceItem) -> Iterator[SourceItem]:
    """The images in a tar file, named below it, read from beginning to end; one item with a fault where it is damaged.

    By WebDataset's convention a sample is what its files are called up to the first dot: 'a.jpg' is an image, and
    'a.seg.png' something else of the same sample.
    """
    if archive.fault is not None:
        yield archive
        return
    try:
        with archive.file.open('rb') as file, tarfile.open(fileobj=file, mode='r|*') as content:
            for member in content:
                below = PurePosixPath(name_below(member.name, '/'))
                image = content.extractfile(member) if below.suffix.lower() in IMAGES else None
                if image is not None and not below.name.startswith('.') and '.' not in below.stem:
                    yield SourceItem(archive.name.with_suffix('') / below, content=image.read())
    except Exception as error:  # each store, and each compression, has errors of its own
        yield SourceItem(archive.name, fault=f"'{archive.path}' cannot be read to its end: {error}.")


def frames_of(item: SourceItem, max_pixels: int = MAX_PIXELS) -> Iterator[SourceItem]:
    """The frames of a video as images to predict on, named <video>/000001.png ..."""
    with VideoReader(item.video, max_pixels) as video:
        for frame in iter(video.read, None):
            yield frame_item(item, video.count, frame)


def slice_items(item: SourceItem, volume: Volume, window: Sequence[float] | None) -> Iterator[SourceItem]:
    """The slices of a volume as images to predict on, named <volume>/000001.png ..."""
    for number, gray in enumerate(volume.gray(window), 1):
        yield SourceItem(item.stem / f'{number:06d}.png', picture=picture_of_array(gray))


def frame_item(item: SourceItem, number: int, frame: Picture) -> SourceItem:
    """A frame of a video, counted from 1."""
    return SourceItem(item.name.with_suffix('') / f'{number:06d}.png', picture=frame)


def find_files(source: str | Path, selection: Selection) -> Iterator[SourceItem]:
    """The files or the stream that a text names; raises ValueError where there is none."""
    path, text = Path(source), str(source)
    if is_stored(text, READABLE):
        yield from stored_items(text, selection)
        return
    if '://' in text or (text.isdecimal() and not path.exists()):
        stream = SourceItem(PurePosixPath(f'{path.stem or "stream"}.mp4'), stream=text)
        stream = stream if '://' in text else camera(int(text))
        if selection.takes(str(stream.name)):
            yield stream
        return
    if path.is_dir():
        found = known_below(path, selection)
    elif text == '-' or (path.suffix == '.txt' and path.is_file()):
        found = listed_items(text, selection)
    elif path.is_file():
        found = (SourceItem(PurePosixPath(path.name), path=path) for _ in (1,) if selection.takes(path.name))
    elif glob.has_magic(text):
        found = matching_items(text, selection)
    else:
        raise ValueError(f"There is no file or folder '{source}'. A source is {SUPPORTED}.")
    yield from found
    if not selection.seen:
        raise ValueError(f"'{source}' holds no image or video; looked for {' '.join(sorted(KNOWN))}.")


def known_below(folder: Path, selection: Selection) -> Iterator[SourceItem]:
    """The images and videos of a folder."""
    for name in names_below(folder, selection.without):
        if not (is_known(name) or is_archive(PurePosixPath(name))):
            selection.others[os.path.splitext(name)[1].lower() or 'no suffix'] += 1
        elif selection.takes(name):
            yield SourceItem(PurePosixPath(name), path=folder / name)


def matching_items(pattern: str, selection: Selection) -> Iterator[SourceItem]:
    """The files of a glob."""
    root = fixed_part(pattern)
    for file in sorted(Path(file) for file in glob.iglob(pattern, recursive=True) if os.path.isfile(file)):
        name = name_below(str(file), os.path.abspath(root))
        if selection.takes(name):
            yield SourceItem(PurePosixPath(name), path=file)


def listed_items(source: str, selection: Selection) -> Iterator[SourceItem]:
    """The files that a list names, one per line, relative to its folder, with or without suffix; '-' is the list that
    comes in on standard input, relative to the current folder.

    Blank lines and # comments do not count. A line without a file is an item with a fault, which names list and line.
    """
    root = os.path.abspath('.' if source == '-' else os.path.dirname(source))
    with open(0 if source == '-' else source, errors='surrogateescape', closefd=source != '-') as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if line and line[0] != '#' and selection.takes(name_below(line, root)):
                yield listed_item(source, root, number, line)


def stored_items(address: str, selection: Selection) -> Iterator[SourceItem]:
    """The images of an object store or on the web: one, those of a folder, or those that a list file there names."""
    path: Any = path_of(address)
    if path.suffix == '.txt':
        with path.open(errors='surrogateescape') as lines:
            for line in map(str.strip, lines):
                if line and line[0] != '#' and selection.takes(name_below(line, '/')):
                    yield SourceItem(PurePosixPath(name_below(line, '/')), path=stored_path(path.parent, line))
    elif is_known(path.name) or is_archive(PurePosixPath(path.name)):
        if selection.takes(path.name):
            yield SourceItem(PurePosixPath(path.name), path=path)
    else:
        for folder, _, names in path.walk():
            for name in sorted(names):
                below = (folder / name).relative_to(path).as_posix()
                if not (is_known(name) or is_archive(PurePosixPath(name))):
                    selection.others[os.path.splitext(name)[1].lower() or 'no suffix'] += 1
                elif selection.takes(below):
                    yield SourceItem(PurePosixPath(below), path=folder / name)
    if not selection.seen:
        raise ValueError(f"'{address}' holds no image; looked for {' '.join(sorted(IMAGES))}.")


def stored_path(folder: Path, line: str) -> Path:
    """The path that a line of a list stands for: an address, or relative to the folder of the list."""
    return path_of(line) if '://' in line else folder / line


def listed_item(source: str, root: str, number: int, line: str) -> SourceItem:
    """The file that a line of a list names: an address, or relative to its folder."""
    if '://' in line:
        return SourceItem(PurePosixPath(name_below(line, root)), path=path_of(line))
    path = os.path.join(root, line)
    if not os.path.lexists(path):
        found = [path + suffix for suffix in sorted(KNOWN) if os.path.exists(path + suffix)]
        if len(found) != 1:
            fault = f'{len(found)} files are called so' if found else 'there is no such file, with or without a suffix'
            where = f"'{source}', line {number}: '{line}'"
            name = PurePosixPath(name_below(line, root))
            return SourceItem(name, fault=f'{where}: {fault}. Names are relative to the folder of the list.')
        path = found[0]
    return SourceItem(PurePosixPath(name_below(path, root)), path=Path(path))


def count_images(source: Source | Iterable[Source]) -> int | None:
    """The number of images of a folder, or of lines of a list file, quickly; None of another source."""
    if not isinstance(source, (str, Path)):
        return None
    path = Path(source)
    if path.is_dir():
        return sum(is_known(name) for name in names_below(path))
    if path.suffix == '.txt' and path.is_file():
        with path.open('rb') as file:
            return sum(block.count(b'\n') for block in iter(lambda: file.read(1 << 20), b''))
    return None


class OutputNames:
    """Names of outputs, distinct whatever the images are called.

    An image keeps its suffix where another one lies in its folder that differs only in its suffix, whether the source
    has it or not; one in an archive or not on this machine always does. So a name depends on the folder alone: not on
    other shards, nor on what is left to do.
    """

    def __init__(self) -> None:
        self.shared = lru_cache(4096)(shared_stems)

    def named(self, item: SourceItem) -> SourceItem:
        """The item with the name of its outputs."""
        if item.path is None and item.content is None:
            return item
        if item.content is not None or not is_local(item.file):  # to look beside it would take requests
            return replace(item, renamed=item.stem.with_name(f'{item.stem.name}_{item.name.suffix[1:]}'))
        folder, name = os.path.split(item.file)
        own, suffix = os.path.splitext(name)
        shared = self.shared(folder)
        several = own in shared if shared is not None else sum(spellings(folder, own)) > 1
        if not several and (item.stem.name == own or not any(spellings(folder, item.stem.name))):
            return item
        stem = f'{item.stem.name}_{suffix[1:]}'
        while any(spellings(folder, stem)):
            stem += '_'
        return replace(item, renamed=item.stem.with_name(stem))


def shared_stems(folder: str) -> frozenset[str] | None:
    """The names without suffix that several images of a folder have; None for one of more than `SORTED` entries."""
    with os.scandir(folder or '.') as found:
        names = list(islice((entry.name for entry in found), SORTED + 1))
    if len(names) > SORTED:
        return None
    count = Counter(os.path.splitext(name)[0] for name in names if is_known(name))
    return frozenset(stem for stem, images in count.items() if images > 1)


def spellings(folder: str, stem: str) -> Iterator[bool]:
    """Whether there is a file of this stem, for each suffix of images and videos."""
    for suffix in KNOWN:
        for spelt in (suffix, suffix.upper(), suffix.title()):
            yield os.path.lexists(os.path.join(folder, stem + spelt))


def fixed_part(pattern: str) -> Path:
    """The folder above the first part of a glob that has a wildcard: 'a/b/*/c*.png' -> a/b."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def name_below(file: str, root: str) -> str:
    """The path of `file` below the absolute path `root`; that of a file elsewhere without what would lead out of it."""
    if '://' in file:
        return file.partition('://')[2]
    if not file.startswith(('/', '.')) and '/.' not in file and '//' not in file:
        return file
    absolute = os.path.normpath(os.path.join(root, file))  # links keep their own names, not those of their targets
    below = absolute.removeprefix(root if root.endswith('/') else f'{root}/')
    return below.lstrip('/')
