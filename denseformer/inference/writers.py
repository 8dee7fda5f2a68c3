"""Where predictions go: a folder that mirrors the source, a record line by line, a summary."""

import json
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from denseformer.inference.results import SegmentationResult


class RunFolder:
    """The output of one run: masks/ and overlays/ with the source's sub-folders and names, results.jsonl, summary.json.

    A file appears under its name when it is complete. Two sources that differ only in their suffix keep it in the
    name, so neither overwrites the other.
    """

    def __init__(self, root: Path):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.record = (root / 'results.jsonl').open('a', buffering=1)
        self.taken: dict[PurePosixPath, PurePosixPath] = {}

    def write(self, result: SegmentationResult) -> dict[str, Any]:
        """Write the files of a result; returns what the record says of it."""
        stem = self.stem_of(result.name)
        mask, picture = f'masks/{stem}.png', f'overlays/{stem}.jpg'
        self._file(mask, result.save)
        self._file(picture, lambda path: result.plot().save(path, format='JPEG', quality=90))
        H, W = result.mask.shape
        return {'height': H, 'width': W, 'classes': result.shares, 'mask': mask, 'overlay': picture}

    def stem_of(self, name: PurePosixPath) -> PurePosixPath:
        """`name` without its suffix, or with it where another image has taken the stem."""
        stem = name.with_suffix('')
        return stem if self.taken.setdefault(stem, name) == name else PurePosixPath(f'{stem}_{name.suffix[1:]}')

    def log(self, entry: dict[str, Any]) -> None:
        """Append a line to results.jsonl."""
        self.record.write(json.dumps(entry) + '\n')

    def close(self, summary: dict[str, Any]) -> None:
        self.record.close()
        self._file('summary.json', lambda path: path.write_text(json.dumps(summary, indent=2) + '\n'))

    def _file(self, name: str, write: Callable[[Path], Any]) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f'.{path.name}.part')
        write(unfinished)
        os.replace(unfinished, path)


def new_folder(root: Path) -> Path:
    """`root`, or the first of root_2, root_3 ... that does not exist yet."""
    candidates = (root if n == 1 else root.with_name(f'{root.name}_{n}') for n in range(1, 100_000))
    return next(path for path in candidates if not path.exists())


def finished_names(root: Path) -> set[str]:
    """The images that a run before has predicted, from its record; a last line that was cut short does not count."""
    record = root / 'results.jsonl'
    names = set()
    for line in record.read_text().splitlines() if record.is_file() else ():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if entry['status'] == 'ok':
            names.add(entry['file'])
    return names
