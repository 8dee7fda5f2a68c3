"""Truncated image files, found without decoding the others: most formats say where a file ends.

Downloads and copies that broke off leave a beginning, with zeros behind it where the space was reserved before: these
show in JPEG, PNG, GIF and compressed TIFF files, and not in WebP, BMP and other TIFF files, where zeros may be pixels.
Damage inside a file shows only where it is decoded, as training and the doctor do.
"""

import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import SEEK_CUR, SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

import tifffile

from denseformer.images.reading import DAMAGED, TIFF_FAULTS, TIFF_SIGNATURES, pages_of, read_image

HEAD = TAIL = 1 << 12
"""Bytes at the beginning and at the end of a file in which its marks are sought: programs may write a little behind the
last one."""
JPEG, PNG = b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'
JPEG_END, PNG_END = b'\xff\xd9', b'IEND\xaeB`\x82'
"""Last marks of files, which do not occur in their compressed pixels."""
START_OF_SCAN, FILL = 0xDA, 0xFF
ANIMATED_PNG, ANIMATED_WEBP = b'acTL', 0x02
"""The chunk, and the flag of the chunk VP8X, of animations, which `read_image` refuses."""
ZEROS = bytes(256)
"""Bytes that no compressed image but WebP ends in unless they were reserved and not written."""
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
        for page in pages_of(path)[1:]:
            read_image(path, page=page)
    except ValueError as error:
        return str(error)
    if ends_in_zeros(path.read_bytes()):
        return f"'{path}' ends in zeros: {DAMAGED}."  # decoders make something of them
    return None


def says_it_is_whole(file: BinaryIO, size: int) -> bool:
    """Whether the end that a format asks for is there; no for formats without one, and for animations."""
    head = file.read(HEAD)
    file.seek(max(0, size - TAIL))
    end = file.read()
    if head.startswith(JPEG):
        file.seek(max(start_of_scan(file), size - TAIL))
        return JPEG_END in file.read()
    if head.startswith(PNG):
        return PNG_END in end and ANIMATED_PNG not in head
    if head.startswith(TIFF_SIGNATURES):
        return not end.endswith(ZEROS) and holds_all_pages(file, size)
    if head.startswith(b'RIFF') and head[8:12] == b'WEBP':
        animated = head[12:16] == b'VP8X' and head[20] & ANIMATED_WEBP
        return not animated and 8 + int.from_bytes(head[4:8], 'little') <= size
    return head.startswith(b'BM') and 0 < int.from_bytes(head[2:6], 'little') <= size


def ends_in_zeros(data: bytes) -> bool:
    """Whether the compressed pixels of a JPEG or TIFF file that can be decoded end in zeros."""
    if not data.endswith(ZEROS):
        return False
    if data.startswith(JPEG):
        return JPEG_END not in data[start_of_scan(BytesIO(data)) :]
    if data.startswith(TIFF_SIGNATURES):
        with tifffile.TiffFile(BytesIO(data)) as tiff:
            page = tiff.pages[-1].aspage()
            offset, count = max(zip(page.dataoffsets, page.databytecounts, strict=True))
            return page.compression != tifffile.COMPRESSION.NONE and data[offset : offset + count].endswith(ZEROS)
    return False


def start_of_scan(file: BinaryIO) -> int:
    """The offset of the first pixels of a JPEG file, behind the segments, of which one may hold a thumbnail with an end
    of its own; the end of the file where there are no pixels."""
    file.seek(2)
    while len(marker := file.read(4)) == 4 and marker[0] == FILL:
        if marker[1] == START_OF_SCAN:
            return file.tell()
        length = int.from_bytes(marker[2:], 'big')
        file.seek(-3 if marker[1] == FILL else length - 2, SEEK_CUR)
    return file.seek(0, SEEK_END)


def holds_all_pages(file: BinaryIO, size: int) -> bool:
    """Whether all pages of a TIFF file, with their strips or tiles, lie inside the file."""
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            pages = list(tiff.pages)
            spans = [span for page in pages for span in zip(page.dataoffsets, page.databytecounts, strict=True)]
            is_last = next_page(file, tiff, pages[-1].offset) == 0
            return is_last and bool(spans) and max(offset + count for offset, count in spans) <= size
    except TIFF_FAULTS:
        return False


def next_page(file: BinaryIO, tiff: tifffile.TiffFile, page: int) -> int:
    """The offset of the page behind that at the offset `page`, 0 for the last one: tifffile leaves out cut ones."""
    form = tiff.tiff
    file.seek(page)
    (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(tags * form.tagsize, SEEK_CUR)
    (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
    return offset
