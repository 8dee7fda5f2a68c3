"""The record of a run: a line of JSON per image, in files that are written by one process each.

While a process predicts, it appends to a file of its own (an attempt). When it is through, `consolidate` makes one
sorted file of all attempts, with one line per image; `merge_records` makes one of the sorted files of many shards.
Neither keeps more than `CHUNK` lines in memory.
"""

import heapq
import json
import shutil
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from denseformer.inference.shards import hash_of
from denseformer.storage import patiently, publish, remove

RESULTS = 'results.jsonl'
UNFINISHED = '.unfinished'
"""The folder of files that are being written."""
CHUNK = 100_000
"""Lines that are sorted in memory at once."""
OPEN_FILES = 200
"""Files that are merged at once; systems allow a process some 1000."""
Entry = dict[str, Any]
Line = tuple[str, bool, str]
"""The name of an image, whether it was predicted, and its line."""


@dataclass(frozen=True)
class Census:
    """The images that a record has: their number, those that failed, and a checksum of their names in any order."""

    images: int = 0
    failed: int = 0
    names: int = 0

    def with_line(self, line: Line) -> 'Census':
        return Census(self.images + 1, self.failed + (not line[1]), self.names ^ hash_of(line[0]))


class Record:
    """The entries of a finished run in the order of their names, read from its file each time they are asked for."""

    def __init__(self, path: Path):
        self.path = path

    def __iter__(self) -> Iterator[Entry]:
        return (json.loads(text) for _, _, text in lines_of(self.path))

    def predicted(self) -> Iterator[Entry]:
        """The entries of the images that did not fail."""
        return (entry for entry in self if entry['status'] == 'ok')


def lines_of(path: Path) -> Iterator[Line]:
    """The lines of a file; truncated ones, which a killed process leaves, do not count."""
    with path.open(encoding='utf-8') as file:
        for text in file:
            try:
                entry = json.loads(text)
            except json.JSONDecodeError:
                continue
            yield entry['file'], entry['status'] == 'ok', text.rstrip('\n')


def census_of(path: Path) -> Census:
    """The images of a sorted record."""
    return reduce(Census.with_line, lines_of(path), Census())


def record_files(place: Path) -> list[Path]:
    """The files of a record in the order in which they were begun: what was consolidated, then attempts."""
    found = patiently(lambda: list(place.glob('*.jsonl')) if place.is_dir() else [])
    return sorted(found, key=lambda path: (path.name != RESULTS, path.name))


def done_before(place: Path, *, failed: bool) -> 'Hashes':
    """The images that a record has; failed: also those that failed."""
    lines = (line for path in record_files(place) for line in lines_of(path))
    return Hashes(hash_of(name) for name, ok, _ in lines if ok or failed)


class Hashes:
    """A set of names in eight bytes each. Of ten million names, two are taken for one with a probability of 3e-6."""

    def __init__(self, hashes: Iterable[int]):
        found = np.unique(np.fromiter(hashes, np.uint64))
        self.sorted = array('Q', found.tobytes())

    def __len__(self) -> int:
        return len(self.sorted)

    def __contains__(self, name: str) -> bool:
        sought = hash_of(name)
        place = bisect_left(self.sorted, sought)
        return place < len(self.sorted) and self.sorted[place] == sought


def consolidate(place: Path, scratch: Path) -> Census:
    """Make one sorted file of a record, with a line per image, in place of its attempts; returns what it has.

    scratch: a folder of this machine, which is removed.
    """
    files = record_files(place)
    census = write_sorted(place / RESULTS, (line for path in files for line in lines_of(path)), scratch)
    for path in files:
        if path.name != RESULTS:
            remove(path)
    shutil.rmtree(scratch)
    return census


def write_sorted(path: Path, lines: Iterator[Line], scratch: Path) -> Census:
    """Write the last line of each image, or the last one that says it was predicted, in the order of the names."""
    scratch.mkdir(exist_ok=True)
    runs: list[Path] = []
    while chunk := list(islice(lines, CHUNK)):
        chunk.sort(key=itemgetter(0, 1))  # keeps the order of lines that are alike so far
        runs.append(scratch / f'{len(runs):06d}')
        write_lines(runs[-1], chunk)
    return merge_sorted(path, runs, scratch)


def merge_sorted(path: Path, runs: Sequence[Path], scratch: Path) -> Census:
    """Write one sorted file from sorted ones, with one line per image, replacing `path` when it is complete."""
    while len(runs) > OPEN_FILES:
        joined = scratch / f'joined{len(runs)}'
        with ExitStack() as stack:
            write_lines(joined, merged(runs[:OPEN_FILES], stack))
        runs = [joined, *runs[OPEN_FILES:]]
    census = Census()
    whole = scratch / 'whole'
    with ExitStack() as stack, whole.open('w', encoding='utf-8') as file:
        for _, same in groupby(merged(runs, stack), key=itemgetter(0)):
            *_, line = same
            census = census.with_line(line)
            file.write(line[2] + '\n')
    publish(whole, path)
    return census


def merged(runs: Sequence[Path], stack: ExitStack) -> Iterator[Line]:
    """The lines of sorted files in one order."""
    iterators = [lines_of(run) for run in runs]
    for iterator in iterators:
        stack.callback(iterator.close)  # type: ignore[attr-defined]
    return heapq.merge(*iterators, key=itemgetter(0, 1))


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    with path.open('w', encoding='utf-8') as file:
        file.writelines(f'{text}\n' for _, _, text in lines)
