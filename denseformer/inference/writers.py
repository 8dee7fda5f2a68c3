"""Where predictions go: a folder that mirrors the source, a record line by line, a summary."""

import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from denseformer.inference.report import keep_thumbnails
from denseformer.inference.results import Result, shares_of
from denseformer.inference.task import Prepared, Task
from denseformer.inference.tiffs import write_bands


class RunFolder:
    """The output of one run: masks/, overlays/, restored/ ... with the source's sub-folders and names, results.jsonl,
    summary.json.

    A file appears under its name when it is complete. Two sources that differ only in their suffix keep it in the
    name, so neither overwrites the other.

    Args:
        root: the folder; made where it does not exist.
        thumbnails: keep small pictures for a report.
    """

    def __init__(self, root: Path, *, thumbnails: bool = False):
        self.root = root
        self.thumbnails = thumbnails
        root.mkdir(parents=True, exist_ok=True)
        path = root / 'results.jsonl'
        cut_short = path.is_file() and path.read_bytes()[-1:] not in (b'', b'\n')
        self.record = path.open('a', buffering=1)
        if cut_short:
            self.record.write('\n')
        self.taken: dict[PurePosixPath, PurePosixPath] = {}

    def write(self, result: Result) -> dict[str, Any]:
        """Write the files of a result; returns what the record says of it."""
        written = {}
        for kind, output in result.outputs().items():
            written[kind] = f'{output.folder}/{self.stem_of(result.name)}{output.suffix}'
            self.file(written[kind], output.write)
        if self.thumbnails:
            keep_thumbnails(result, self.root)
        return {**result.facts(), **written}

    def write_bands(self, task: Task, prepared: Prepared) -> dict[str, Any]:
        """Predict on a file that is read in windows, straight into a TIFF file."""
        layout = task.layout(prepared)
        counts = np.zeros(1 << 16, np.int64)
        classes = getattr(task, 'classes', None)

        def bands():
            for band in task.bands(prepared):
                if classes:
                    counts[:] += np.bincount(band.ravel(), minlength=len(counts))
                yield band[..., 0] if band.ndim == 3 and layout.channels == 1 else band

        kind, folder = ('mask', 'masks') if classes else ('restored', 'restored')
        name = f'{folder}/{self.stem_of(prepared.name)}.tif'
        self.file(name, lambda path: write_bands(path, layout, bands()))
        shares = {'classes': shares_of(counts[: len(classes)], classes)} if classes else {}
        return {'height': layout.size[0], 'width': layout.size[1], **shares, kind: name}

    def stem_of(self, name: PurePosixPath) -> PurePosixPath:
        """`name` without its suffix, or with it where another image has taken the stem."""
        stem = name.with_suffix('')
        return stem if self.taken.setdefault(stem, name) == name else PurePosixPath(f'{stem}_{name.suffix[1:]}')

    def log(self, entry: dict[str, Any]) -> None:
        """Append a line to results.jsonl; whole, also beside other processes."""
        self.record.write(json.dumps(entry) + '\n')

    def close(self, summary: dict[str, Any]) -> None:
        self.record.close()
        self.file('summary.json', lambda path: path.write_text(json.dumps(summary, indent=2) + '\n'))

    def file(self, name: str, write: Callable[[Path], Any]) -> None:
        """Have `write` make the file `name`: under another name until it is complete."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f'.{path.name}.{os.getpid()}.part')
        try:
            write(unfinished)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)

    def claim(self, name: PurePosixPath) -> bool:
        """Take an image for this process; False when another one has it."""
        claims = self.root / '.claims'
        claims.mkdir(exist_ok=True)
        key = hashlib.sha256(str(name).encode()).hexdigest()[:32]
        try:
            handle = os.open(claims / key, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, 'w') as file:
            file.write(f'{socket.gethostname()} {os.getpid()} {name}\n')
        return True


def new_folder(root: Path) -> Path:
    """`root`, or the first of root_2, root_3 ... that does not exist yet."""
    candidates = (root if n == 1 else root.with_name(f'{root.name}_{n}') for n in range(1, 100_000))
    return next(path for path in candidates if not path.exists())


def entries(root: Path) -> dict[str, dict[str, Any]]:
    """What the record of a run says of each image, its last line counting; a line that was cut short does not."""
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
    """The images that a run before has predicted, from its record."""
    return {name for name, entry in entries(root).items() if entry['status'] == 'ok'}
