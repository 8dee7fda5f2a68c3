"""The output folder of a run: it mirrors the source, and has a record line by line and a summary."""

import hashlib
import json
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from filelock import FileLock

from denseformer.images.tiffs import write_bands
from denseformer.inference.report import keep_thumbnails
from denseformer.inference.results import Result, shares_of
from denseformer.inference.task import PreparedItem, Task

FINISHED = 'finished'


class RunFolder:
    """The output of one run: masks/, overlays/, restored/ ... with the source's sub-folders and names, results.jsonl,
    summary.json.

    A file appears under its name when it is complete. Sources that differ only in their suffix keep it in the name, so
    none overwrites another.

    Args:
        root: the folder; made where it does not exist.
        names: those of all images of the source, also of those that other processes predict.
        thumbnails: keep small pictures for a report.
        notify: is called with the share of an image that is done, 0 to 1, where it takes long.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[PurePosixPath] = (),
        *,
        thumbnails: bool = False,
        notify: Callable[[float], Any] = lambda share: None,
    ):
        self.root = root
        self.thumbnails = thumbnails
        self.notify = notify
        self.stems = distinct_stems(names)
        self.predicted = 0
        self.failures: list[dict[str, str]] = []
        self.shared = False
        root.mkdir(parents=True, exist_ok=True)
        path = root / 'results.jsonl'
        truncated = path.is_file() and path.read_bytes()[-1:] not in (b'', b'\n')
        self.record = path.open('a', buffering=1)
        if truncated:
            self.record.write('\n')

    def write(self, result: Result) -> dict[str, Any]:
        """Write the files of a result; returns its entry in the record."""
        written = {}
        for kind, output in result.outputs().items():
            written[kind] = f'{output.folder}/{self.stem_of(result.name)}{output.suffix}'
            self.file(written[kind], output.write)
        if self.thumbnails:
            keep_thumbnails(result, self.root, result.name)
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
        name = f'{folder}/{self.stem_of(prepared.name)}.tif'
        try:
            self.file(name, lambda path: write_bands(path, layout, bands()))
        finally:
            prepared.tiff.close()
        shares = {'classes': shares_of(counts[: len(classes)], classes)} if classes else {}
        return {'height': layout.size[0], 'width': layout.size[1], **shares, kind: name}

    def stem_of(self, name: PurePosixPath) -> PurePosixPath:
        """`name` without its suffix, or with it where several images would share the name."""
        return self.stems.get(name) or name.with_suffix('')

    def log(self, entry: dict[str, Any]) -> None:
        """Append a line to results.jsonl, also beside other processes."""
        self.record.write(json.dumps(entry) + '\n')
        if entry['status'] == 'ok':
            self.predicted += 1
        else:
            self.failures.append({'file': entry['file'], 'error': entry['error']})
        if self.shared:
            self._claim_of(entry['file']).write_text(FINISHED)

    def close(self, summary: dict[str, Any]) -> None:
        self.record.close()
        self.file('summary.json', lambda path: path.write_text(json.dumps(summary, indent=2) + '\n'))

    def lock(self) -> FileLock:
        """A lock among the processes that share the folder."""
        return FileLock(self.root / '.lock')

    def file(self, name: str, write: Callable[[Path], Any]) -> None:
        """Write the file `name` by `write`, which is given another name until the file is complete."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f'.{path.stem}.{os.getpid()}.part{path.suffix}')
        try:
            write(unfinished)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)

    def claim(self, name: PurePosixPath) -> bool:
        """Claim an image for this process; False when another process has claimed or finished it.

        Claims of processes of this machine that died before they finished are void.
        """
        self.shared = True
        path = self._claim_of(name)
        owner = f'{socket.gethostname()} {os.getpid()}'
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            if not is_abandoned(path.read_text()):
                return False
            with self.lock():
                if free := is_abandoned(path.read_text()):
                    path.write_text(owner)
            return free
        with os.fdopen(handle, 'w') as file:
            file.write(owner)
        return True

    def _claim_of(self, name: PurePosixPath | str) -> Path:
        claims = self.root / '.claims'
        claims.mkdir(exist_ok=True)
        return claims / hashlib.sha256(str(name).encode()).hexdigest()[:32]


def is_abandoned(claim: str) -> bool:
    """Whether the process that wrote a claim has ended; those of other machines are assumed to run."""
    host, _, process = claim.rpartition(' ')
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def distinct_stems(names: Sequence[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Distinct names of the files of images that differ in their suffix only: {image: stem}."""
    count = Counter(name.with_suffix('') for name in names)
    taken = {stem for stem, images in count.items() if images == 1}
    stems = {}
    for name in names:
        stem = name.with_suffix('')
        if count[stem] > 1:
            stem = stem.with_name(f'{stem.name}_{name.suffix[1:]}')
            while stem in taken:
                stem = stem.with_name(f'{stem.name}_')
            taken.add(stem)
            stems[name] = stem
    return stems


def remove_unfinished(root: Path) -> None:
    """Remove unfinished files of processes that were killed."""
    for path in root.rglob('.*.part*'):
        path.unlink(missing_ok=True)


def new_folder(root: Path) -> Path:
    """The first of root, root_2, root_3 ... that does not exist yet or is an empty folder."""
    candidates = (root if n == 1 else root.with_name(f'{root.name}_{n}') for n in range(1, 100_000))
    return next(path for path in candidates if not path.exists() or (path.is_dir() and not any(path.iterdir())))


def entries(root: Path) -> dict[str, dict[str, Any]]:
    """The record of a run: the last entry of each image; truncated lines do not count."""
    record = root / 'results.jsonl'
    found = {}
    for line in record.read_text().splitlines() if record.is_file() else ():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[entry['file']] = entry
    return found


def finished_names(root: Path) -> set[str]:
    """The images that a previous run has predicted, from its record."""
    return {name for name, entry in entries(root).items() if entry['status'] == 'ok'}
