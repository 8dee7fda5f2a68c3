"""Image and video files of folders."""

from collections.abc import Iterator
from pathlib import Path

IMAGES = frozenset(
    '.avif .bmp .dib .gif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp'.split()  # noqa: SIM905
)
"""Suffixes of the files of a folder that are images; files named one by one may have any."""
VIDEOS = frozenset('.avi .m4v .mkv .mov .mp4 .mpeg .mpg .webm .wmv'.split())  # noqa: SIM905
"""Suffixes of files that are videos."""


def files_below(folder: Path, parents: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files of a folder and its sub-folders, by name; hidden ones such as ._a.jpg are left out.

    Linked folders are followed, but for those that lead back to a folder above. Raises ValueError for a folder that
    cannot be read.
    """
    real = folder.resolve()
    if real in parents:
        return
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith('.'))
    except OSError as error:
        raise ValueError(f"The folder '{folder}' cannot be read: {error.strerror}.") from error
    for path in paths:
        if path.is_dir():
            yield from files_below(path, (*parents, real))
        else:
            yield path
