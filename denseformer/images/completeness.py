"""Truncated image files, found without decoding the others: most formats say where a file ends.

Downloads and copies that broke off leave a beginning, with zeros behind it where the space was reserved before. Damage
inside a file shows only where it is decoded, as training and the doctor do.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import tifffile

from denseformer.images.reading import DAMAGED, TIFF_FAULTS, TIFF_SIGNATURES, read_image

TAIL = 1 << 12
"""Bytes at the end of a file in which its last mark is sought: programs may write a little behind it."""
JPEG, PNG = b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'
ENDS = {JPEG: b'\xff\xd9', PNG: b'IEND\xaeB`\x82'}
"""First bytes of a format -> its last mark, which does not occur in the compressed pixels."""
ZEROS = bytes(256)
"""Bytes that no JPEG file ends in unless they were reserved and not written."""
THREADS = 16
"""Files that are looked at at once: on a network or a disk the time is that of waiting."""


def faults_of(paths: Iterable[Path]) -> dict[Path, str]:
    """{path: what is wrong} of image files that are missing, empty or truncated.

    The beginning and the end of each file are read. A file that does not say by them that it is whole is decoded.
    """
    paths = list(paths)
    with ThreadPoolExecutor(THREADS) as threads:
        return {path: fault for path, fault in zip(paths, threads.map(fault_of, paths), strict=True) if fault}


def fault_of(path: Path) -> str | None:
    """A message on one file; None for a whole one."""
    try:
        with path.open('rb') as file:
            if says_it_is_whole(file, path.stat().st_size):
                return None
    except OSError:
        pass  # read_image says why
    try:
        read_image(path)
    except ValueError as error:
        return str(error)
    data = path.read_bytes()
    if data.startswith(JPEG) and data.endswith(ZEROS) and not data.rstrip(b'\0').endswith(ENDS[JPEG]):
        return f"'{path}' ends in zeros: {DAMAGED}."  # decoders make it gray from there on
    return None


def says_it_is_whole(file: BinaryIO, size: int) -> bool:
    """Whether the end that a format asks for is there; no for formats without one."""
    head = file.read(16)
    if head.startswith(TIFF_SIGNATURES):
        return holds_all_strips(file, size)
    if head.startswith(b'RIFF'):
        return 8 + int.from_bytes(head[4:8], 'little') <= size
    if head.startswith(b'BM'):
        return 0 < int.from_bytes(head[2:6], 'little') <= size
    file.seek(max(0, size - TAIL))
    end = file.read()
    return any(head.startswith(begin) and mark in end for begin, mark in ENDS.items())


def holds_all_strips(file: BinaryIO, size: int) -> bool:
    """Whether the strips or tiles of a TIFF file's first page lie inside the file."""
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages[0].aspage()
            ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
            return bool(ends) and max(ends) <= size
    except TIFF_FAULTS:
        return False
