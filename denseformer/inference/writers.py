"""The output folder of a run: it mirrors the source, and has a record line by line, also of many shards.

A shard has a folder of its own, shards/00003-of-00064, where only its processes write: their records, what they have
done so far (progress.json), and, when all its images were done, what that was (finished.json).
"""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, count
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import Any

import numpy as np
from filelock import FileLock

from denseformer.images.tiffs import write_bands
from denseformer.inference.packs import TARS, Pack
from denseformer.inference.record import RESULTS, UNFINISHED, Record, record_files
from denseformer.inference.report import keep_thumbnails
from denseformer.inference.results import Result, shares_of
from denseformer.inference.shards import Shard
from denseformer.inference.task import PreparedItem, Task
from denseformer.storage import is_local, make_folder, publish, read_bytes, remove

SHARDS = 'shards'
PROGRESS = 'progress.json'
FINISHED = 'finished.json'
STORED_LINES = 1000
STORED_EVERY = 30.0
"""Seconds after which the lines of a record are put into an object store."""
PROGRESS_EVERY = 5.0
"""Seconds between two looks of `denseformer status` at something new."""
NUMBERS = count()
"""Numbers of the files that this process has begun."""
FAILURES_SHOWN = 1000
"""Failures that a summary lists; the record has all."""


class OutputFolder:
    """The predictions of a run, masks/, overlays/ ... with the source's sub-folders and names.

    A file appears under its name when it is complete.

    Args:
        root: the folder of the whole run.
        scratch: a folder for files that are not complete, on the file system of `root` unless that is an object store.
        thumbnails: keep small pictures for a report.
        notify: is called with the share of an image that is done, 0 to 1, where it takes long.
    """

    def __init__(
        self,
        root: Path,
        scratch: Path,
        *,
        thumbnails: bool = False,
        notify: Callable[[float], Any] = lambda share: None,
    ):
        self.root = root
        self.scratch = scratch
        self.thumbnails = thumbnails
        self.notify = notify

    def write(self, result: Result, stem: PurePosixPath) -> dict[str, Any]:
        """Write the files of a result, named `stem`; returns its entry in the record."""
        written = {}
        for kind, output in result.outputs().items():
            written[kind] = f'{output.folder}/{stem}{output.suffix}'
            self.file(written[kind], output.write)
        if self.thumbnails:
            keep_thumbnails(result, self.file, result.name)
        return {**result.record(), **written}

    def write_bands(self, task: Task, prepared: PreparedItem) -> dict[str, Any]:
        """Predict on a file that is read region by region, into a TIFF file; returns its entry in the record."""
        layout = task.layout(prepared)
        counts = np.zeros(1 << 16, np.int64)
        classes = getattr(task, 'classes', None)

        def bands() -> Iterator[np.ndarray]:
            done = 0
            for band in task.bands(prepared):
                done += len(band)
                self.notify(done / layout.size[0])
                for part in np.array_split(band, 1 + (band.size >> 20)) if classes else ():
                    counts[:] += np.bincount(part.ravel(), minlength=len(counts))
                yield band[..., 0] if band.ndim == 3 and layout.channels == 1 else band

        kind, folder = ('mask', 'masks') if classes else ('restored', 'restored')
        name = f'{folder}/{prepared.item.stem}.tif'
        try:
            self.file(name, lambda path: write_bands(path, layout, bands()))
        finally:
            prepared.tiff.close()
        shares = {'classes': shares_of(counts[: len(classes)], classes)} if classes else {}
        return {'height': layout.size[0], 'width': layout.size[1], **shares, kind: name}

    def file(self, name: str | Path, write: Callable[[Path], Any]) -> None:
        """Write the file `name` of the run by `write`, which is given another path until the file is complete."""
        write_whole(self.root / name, self.scratch, write)


class RunFolder(OutputFolder):
    """The output of one process: predictions, and a record.

    Args:
        root: the folder of the whole run; made where it does not exist.
        shard: the one that the process predicts; None: it predicts all images.
        thumbnails, notify: as for `OutputFolder`.
        expected: gives the number of images, where it is known.
        done_before: the number of those that other processes did before.
        pack: put outputs into tar files of so many images each; videos, and files that are read region by region, have
            files of their own.

    Raises ValueError without `pack` for a folder whose outputs are packed.
    """

    def __init__(
        self,
        root: Path,
        shard: Shard | None = None,
        *,
        thumbnails: bool = False,
        notify: Callable[[float], Any] = lambda share: None,
        expected: Callable[[], int | None] = lambda: None,
        done_before: int = 0,
        pack: int | None = None,
    ):
        self.place = place_of(root, shard)
        super().__init__(root, new_scratch(self.place), thumbnails=thumbnails, notify=notify)
        self.shard = shard
        self.predicted = 0
        self.failed = 0
        self.failures: list[dict[str, str]] = []
        self.done_before = done_before
        self.expected = expected
        self.started = time.time()
        self.shown = 0.0
        make_folder(self.place)
        remove(self.place / FINISHED)
        self.seconds_before = read_json(self.place / PROGRESS).get('seconds', 0.0)
        self.pack: Pack | None = None
        if pack:
            recorded = chain.from_iterable(map(Record, record_files(self.place)))
            self.pack = Pack(root, shard, pack, self.scratch, recorded)
        elif is_local(root) and (root / TARS).is_dir():
            raise ValueError(f"The outputs in '{root}' are in tar files: go on with --pack, or choose another folder.")
        self.record: Journal | StoredJournal
        if is_local(root):
            self.record = Journal(self.place / (RESULTS if shard is None else attempt_name()))
        else:
            self.record = StoredJournal(self.place, self.scratch, self.pack)
        self.show_progress()

    def write(self, result: Result, stem: PurePosixPath) -> dict[str, Any]:
        """Write the files of a result, named `stem`; returns its entry in the record."""
        if self.pack is None:
            return super().write(result, stem)
        return {**result.record(), **self.pack.add(result.outputs(), stem)}

    def log(self, entry: dict[str, Any]) -> None:
        """Append an entry to the record."""
        if self.pack is not None:
            self.pack.seal_if_full()
        self.record.add(json.dumps(entry))
        if entry['status'] == 'ok':
            self.predicted += 1
        else:
            self.failed += 1
            if len(self.failures) < FAILURES_SHOWN:
                self.failures.append({'file': entry['file'], 'error': entry['error']})
        if time.time() - self.shown > PROGRESS_EVERY:
            self.show_progress()

    def show_progress(self, *, over: bool = False) -> None:
        """Write what is done so far for `denseformer status`; over: the process predicts no more."""
        self.shown = time.time()
        seconds = self.shown - self.started
        progress = {
            'shard': None if self.shard is None else str(self.shard),
            'host': socket.gethostname(),
            'done': self.done_before + self.predicted,
            'failed': self.failed,
            'expected': self.expected(),
            'rate': round((self.predicted + self.failed) / max(seconds, 1e-9), 3),
            'seconds': round(self.seconds_before + seconds, 2),
            'updated': round(self.shown, 2),
            'over': over,
        }
        write_whole(self.place / PROGRESS, self.scratch, lambda path: write_json(path, progress))

    def close(self) -> None:
        """End the record of this process, which predicts no more."""
        if self.pack is not None:
            self.pack.seal()
        self.record.close()
        self.show_progress(over=True)
        shutil.rmtree(self.scratch, ignore_errors=True)


def write_whole(path: Path, scratch: Path, write: Callable[[Path], Any]) -> None:
    """Write a file by `write`, which is given a path in the folder `scratch` until the file is complete."""
    unfinished = scratch / f'{os.getpid()}-{next(NUMBERS)}{path.suffix}'
    for folder in (scratch, path.parent):
        make_folder(folder)
    try:
        write(unfinished)
        publish(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


class Journal:
    """A record that one process appends to."""

    def __init__(self, path: Path):
        truncated = path.is_file() and path.read_bytes()[-1:] not in (b'', b'\n')  # by a process that was killed
        self.file = path.open('a', buffering=1, encoding='utf-8')
        if truncated:
            self.file.write('\n')

    def add(self, line: str) -> None:
        self.file.write(f'{line}\n')

    def close(self) -> None:
        self.file.close()


class StoredJournal:
    """A record in an object store, where nothing can be appended: an object for every so many lines, or seconds.

    A process that is killed loses the lines since the last one; their images are predicted again. Lines about images in
    a tar file wait until that is in the store.
    """

    def __init__(self, place: Path, scratch: Path, pack: Pack | None = None):
        self.place, self.scratch, self.pack = place, scratch, pack
        self.lines: list[str] = []
        self.stored = time.monotonic()

    def add(self, line: str) -> None:
        self.lines.append(line)
        if self.pack is not None and self.pack.is_begun:
            return
        if len(self.lines) >= STORED_LINES or time.monotonic() - self.stored > STORED_EVERY:
            self._store()

    def close(self) -> None:
        if self.lines:
            self._store()

    def _store(self) -> None:
        text = ''.join(f'{line}\n' for line in self.lines)
        write_whole(self.place / attempt_name(), self.scratch, lambda path: path.write_text(text, encoding='utf-8'))
        self.lines.clear()
        self.stored = time.monotonic()


def attempt_name() -> str:
    """A name for the record of one process; those that begin later come later."""
    return f'{time.time_ns():020d}-{socket.gethostname()}-{os.getpid()}.jsonl'


def place_of(root: Path, shard: Shard | None) -> Path:
    """The folder of the record of a shard, or of a whole run."""
    return root if shard is None else root / SHARDS / shard.folder


def lock_of(place: Path) -> FileLock:
    """A lock among processes of one machine, which ends with the process that holds it, however that ends."""
    place.mkdir(parents=True, exist_ok=True)
    return FileLock(place / '.lock')


def new_scratch(place: Path) -> Path:
    """The folder of files that are being written for `place`, empty: in it, or for an object store on this machine."""
    if not is_local(place):
        return Path(mkdtemp(prefix='denseformer-'))
    shutil.rmtree(place / UNFINISHED, ignore_errors=True)  # of processes that were killed
    return place / UNFINISHED


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file; an empty dict where there is none."""
    try:
        return json.loads(read_bytes(path))
    except FileNotFoundError:
        return {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + '\n')


def new_folder(root: Path) -> Path:
    """The first of root, root_2, root_3 ... that does not exist yet or is an empty folder."""
    candidates = (root if n == 1 else root.with_name(f'{root.name}_{n}') for n in range(1, 100_000))
    return next(path for path in candidates if not path.exists() or (path.is_dir() and not any(path.iterdir())))
