"""Image and video files of folders."""

import os
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from denseformer.images.volumes import is_volume

IMAGES = frozenset(
    '.avif .bmp .dib .gif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp'.split()  # noqa: SIM905
)
"""Suffixes of the files of a folder that are images; files named one by one may have any."""
VIDEOS = frozenset('.avi .m4v .mkv .mov .mp4 .mpeg .mpg .webm .wmv'.split())  # noqa: SIM905
"""Suffixes of files that are videos."""
KNOWN = IMAGES | VIDEOS
SORTED = 100_000
"""Entries up to which a folder is listed at once, in order; a larger one is read as a stream, in the system's order."""


def is_known(name: str) -> bool:
    """Whether a file is an image, a video or a volume by its suffix."""
    return os.path.splitext(name)[1].lower() in KNOWN or is_volume(name)


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder and its sub-folders, as `names_below` finds them."""
    return (folder / name for name in names_below(folder))


def names_below(folder: str | Path, without: str | None = None, parents: tuple[str, ...] = ()) -> Iterator[str]:
    """The names below a folder of all its files and those of its sub-folders; hidden ones such as ._a.jpg are left out.

    They are in order where no folder has more than `SORTED` entries, and memory does not grow with their number. Linked
    folders are followed, but for those that lead back to a folder above. without: the real path of a sub-folder to
    leave out. Raises ValueError for a folder that cannot be read.
    """
    real = os.path.realpath(folder)
    if real in parents or (parents and real == without):
        return
    try:
        with os.scandir(folder) as found:
            for entry in in_order(entry for entry in found if not entry.name.startswith('.')):
                if entry.is_dir():
                    for name in names_below(entry.path, without, (*parents, real)):
                        yield f'{entry.name}/{name}'
                else:
                    yield entry.name
    except OSError as error:
        raise ValueError(f"The folder '{folder}' cannot be read: {error.strerror}.") from error


def in_order(entries: Iterator[os.DirEntry]) -> Iterator[os.DirEntry]:
    """The entries of a folder by name, or as they come where there are more than `SORTED`."""
    first = list(islice(entries, SORTED + 1))
    if len(first) > SORTED:
        return chain(first, entries)
    return iter(sorted(first, key=lambda entry: entry.name))
