"""Outputs in tar files of so many images each, so that a million small files need not exist.

By WebDataset's convention the files of an image lie one after the other and share their name up to the first dot:
a.mask.png, a.overlay.jpg. The record says in which tar file, and between which bytes, those of an image are.

A tar file has the ending .part until it is full, or its process ends. What is in the record is in the tar file: images
are appended first and recorded then, and what a killed process had appended without recording it is cut off. So a run
that goes on makes the same tar files as one that was not disturbed.
"""

import io
import os
import shutil
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from denseformer.inference.record import Entry, Record
from denseformer.inference.results import Output
from denseformer.inference.shards import Shard, hash_of
from denseformer.storage import is_local, make_folder, patiently, publish, remove

TARS = 'tars'
PART = '.part'
STORED_EVERY = 600.0
"""Seconds after which a tar file goes into an object store though it is not full: what a killed process may lose."""
END = bytes(2 * tarfile.BLOCKSIZE)
Contents = dict[str, tuple[int, int]]
"""{tar file: the number of its images, and a checksum of where they lie}."""


class Pack:
    """The tar files of one process, or of those before it in the same shard.

    Args:
        root: the folder of the whole run.
        shard: the one that the process predicts; None for all images.
        images: in a tar file.
        scratch: a folder of this machine for what is being written.
        recorded: what the record says so far.

    Raises ValueError where a tar file is missing, or shorter than what the record says of it.
    """

    def __init__(self, root: Path, shard: Shard | None, images: int, scratch: Path, recorded: Iterable[Entry]):
        self.root, self.images, self.scratch = root, images, scratch
        self.prefix = '' if shard is None else f'{shard.folder}-'
        self.started = time.monotonic()
        counts: dict[str, int] = {}
        ends: dict[str, int] = {}
        for entry in recorded:
            if 'tar' in entry:
                counts[entry['tar']] = counts.get(entry['tar'], 0) + 1
                ends[entry['tar']] = max(ends.get(entry['tar'], 0), entry['tar_stop'])
        self._check(ends)
        self._remove_unrecorded(ends)
        last = max(ends, default=None)
        self.number = 0 if last is None else int(last.removesuffix('.tar')[-6:]) + 1
        self.count = 0
        self.file: BinaryIO | None = None
        if last is not None and is_local(root):
            self.number -= 1
            self._reopen(ends[last])
            self.count = counts[last]
            self.seal_if_full()

    @property
    def name(self) -> str:
        """The tar file that is being written, below the folder of the run."""
        return f'{TARS}/{self.prefix}{self.number:06d}.tar'

    @property
    def part(self) -> Path:
        """Where it is until it is complete."""
        place = self.root / f'{self.name}{PART}'
        return place if is_local(self.root) else self.scratch / place.name

    def _check(self, ends: Mapping[str, int]) -> None:
        """Raise ValueError where a tar file that the record knows of is missing, or, on this machine, cut."""
        there = {f'{TARS}/{path.name.removesuffix(PART)}': path for path in tars_of(self.root)}
        wrong = [name for name in sorted(ends) if name not in there]
        if is_local(self.root):
            wrong += [name for name in sorted(ends.keys() & there.keys()) if there[name].stat().st_size < ends[name]]
        if wrong:
            raise ValueError(
                f"'{self.root}': {', '.join(wrong[:10])}{' ...' if len(wrong) > 10 else ''} "
                f'{"is" if len(wrong) == 1 else "are"} missing, or shorter than the record says: predict again with '
                '--overwrite.'
            )

    def _remove_unrecorded(self, recorded: Mapping[str, int]) -> None:
        """Remove tar files of the shard that hold nothing the record knows of."""
        for path in tars_of(self.root):
            name = path.name.removesuffix(PART)
            own = name.startswith(self.prefix) and len(name) == len(f'{self.prefix}000000.tar')
            if own and f'{TARS}/{name}' not in recorded:
                remove(path)

    def _reopen(self, end: int) -> None:
        """Go on with a tar file after its last recorded byte."""
        complete = self.root / self.name
        if complete.exists():
            os.replace(complete, self.part)
        self.file = self.part.open('r+b')
        self.file.truncate(end)
        self.file.seek(end)

    def add(self, outputs: Mapping[str, Output], stem: PurePosixPath) -> Entry:
        """Append the files of an image; returns what the record says of them."""
        make_folder(self.scratch)
        content = io.BytesIO()
        names = {}
        for kind, output in outputs.items():
            unfinished = self.scratch / f'{os.getpid()}-packed{output.suffix}'
            try:
                output.write(unfinished)
                names[kind] = f'{key_of(stem)}.{kind}{output.suffix}'
                append(content, names[kind], unfinished)
            finally:
                unfinished.unlink(missing_ok=True)
        if self.file is None:
            make_folder(self.part.parent)
            self.file = self.part.open('w+b')
            self.started = time.monotonic()
        start = self.file.tell()
        try:
            self.file.write(content.getbuffer())
            self.file.flush()
        except OSError:
            self.file.seek(start)
            self.file.truncate(start)
            raise
        self.count += 1
        return {**names, 'tar': self.name, 'tar_start': start, 'tar_stop': self.file.tell()}

    @property
    def is_begun(self) -> bool:
        """Whether a tar file holds images and is not complete."""
        return self.file is not None

    def seal_if_full(self) -> None:
        """Complete the tar file when it has its images, in an object store also after a while."""
        late = not is_local(self.root) and time.monotonic() - self.started > STORED_EVERY
        if self.count >= self.images or late:
            self.seal()

    def seal(self) -> None:
        """Complete the tar file; the next image begins another one."""
        if self.file is None:
            return
        self.file.write(END)
        self.file.write(bytes(-self.file.tell() % tarfile.RECORDSIZE))
        self.file.close()
        publish(self.part, self.root / self.name)
        self.file, self.count, self.number = None, 0, self.number + 1


def tars_of(root: Path) -> list[Path]:
    """The tar files of a run, also those that are not complete."""
    folder = root / TARS
    return patiently(lambda: list(folder.iterdir()) if folder.is_dir() else [])


def key_of(stem: PurePosixPath) -> str:
    """The names of an image's files up to the first dot: dots in its own name are percent-encoded."""
    return stem.with_name(stem.name.replace('%', '%25').replace('.', '%2E')).as_posix()


def image_of(member: str) -> tuple[str, str]:
    """The folder and the name, up to its first dot, of a file in a tar file."""
    folder, _, name = member.rpartition('/')
    return folder, name.partition('.')[0]


def append(content: BinaryIO, name: str, path: Path) -> None:
    """Append a file to what is in a tar file; its owner and time say nothing, so that equal files make equal ones."""
    entry = tarfile.TarInfo(name)
    entry.size = path.stat().st_size
    content.write(entry.tobuf(tarfile.PAX_FORMAT, 'utf-8', 'surrogateescape'))
    with path.open('rb') as file:
        shutil.copyfileobj(file, content)
    content.write(bytes(-entry.size % tarfile.BLOCKSIZE))


def read_output(root: Path, entry: Entry, kind: str) -> bytes:
    """The content of a file that the record names, in a tar file or not."""
    if 'tar' not in entry:
        return patiently((root / entry[kind]).read_bytes)
    start, stop = entry['tar_start'], entry['tar_stop']
    path: Any = root / entry['tar']
    if is_local(root):
        with path.open('rb') as file:
            file.seek(start)
            content = file.read(stop - start)
    else:
        content = patiently(lambda: path.fs.cat_file(path.path, start=start, end=stop))
    with tarfile.open(fileobj=io.BytesIO(content), mode='r:') as members:
        found = members.extractfile(entry[kind])
        assert found is not None
        return found.read()


def check_packs(root: Path, record: Record) -> None:
    """Raise ValueError where a tar file does not hold each image of the record exactly once, and nothing else.

    In an object store its size is looked at, which the store does not change: it has whole objects only.
    """
    expected: Contents = {}
    ends: dict[str, int] = {}
    for entry in record:
        if 'tar' in entry:
            place = entry['tar_start'], entry['tar_stop']
            expected[entry['tar']] = with_place(expected.get(entry['tar'], (0, 0)), place)
            ends[entry['tar']] = max(ends.get(entry['tar'], 0), place[1])
    found = {f'{TARS}/{path.name}' for path in tars_of(root)}
    wrong = sorted(found - expected.keys())
    wrong += [name for name in sorted(expected) if not is_as_recorded(root / name, expected[name], ends[name])]
    if wrong:
        raise ValueError(
            f"'{root}': {', '.join(wrong[:10])}{' ...' if len(wrong) > 10 else ''} of {len(found)} tar files "
            f'{"is" if len(wrong) == 1 else "are"} not what the record says. Predict the shards that they are named '
            'after again with --overwrite.'
        )


def is_as_recorded(path: Path, expected: tuple[int, int], end: int) -> bool:
    try:
        size = patiently(path.stat).st_size
    except FileNotFoundError:
        return False
    if size != -(-(end + len(END)) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE:
        return False
    if not is_local(path):
        return True
    found = (0, 0)
    for place in places_in(path):
        found = with_place(found, place)
    return found == expected


def with_place(found: tuple[int, int], place: tuple[int, int]) -> tuple[int, int]:
    return found[0] + 1, found[1] ^ hash_of(f'{place[0]} {place[1]}')


def places_in(path: Path) -> Iterator[tuple[int, int]]:
    """First byte, and the one after the last, of each image in a tar file; nothing more where it is damaged."""
    try:
        with tarfile.open(path, 'r:') as archive:
            for _, group in groupby(archive, key=lambda entry: image_of(entry.name)):
                first, *others = group
                last = others[-1] if others else first
                yield first.offset, last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    except tarfile.TarError:
        return
