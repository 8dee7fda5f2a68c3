"""Atomic writing of checkpoints, and finding the newest intact one.

A checkpoint is written to a temporary file, forced to the disk, read back, and only then renamed to its final name.
Beside `iter_100.pth` stands `iter_100.pth.sha256`, which `sha256sum -c` understands. While a file of the same name is
replaced, the list names both the old and the new content, so that either is valid whenever the power goes.
"""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch

from denseformer.checkpoints.common import CheckpointError, file_hash
from denseformer.checkpoints.files import read_checkpoint

HASHES = '.sha256'
TEMPORARY = '.writing'
NAMES = BEST, LAST = 'best.pth', 'last.pth'
"""Names in a run's folder that always lead to the best and the newest checkpoint."""


class _HashingFile:
    """A file for `torch.save` that hashes the bytes it passes on, so that no second copy is held in memory."""

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def write_checkpoint(content: Mapping[str, Any], path: str | Path) -> str:
    """Write `content` to `path`, which holds either its old or its new content at every moment; return the hash.

    Raises CheckpointError when the disk is full or read-only; whatever stood at `path` before still stands there.
    """
    path = Path(path)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = _write_and_verify(dict(content), temporary)
        _write_hashes(path, digest, *known_hashes(path))
        os.replace(temporary, path)
        _write_hashes(path, digest)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f'{path}: could not be written ({error}). Checkpoints written before it are untouched; make room or choose '
            'another --work-dir, then resume with --resume.'
        ) from error
    return digest


def _write_and_verify(content: dict[str, Any], path: Path) -> str:
    with path.open('wb') as file:
        hashing = _HashingFile(file)
        torch.save(content, hashing)
        file.flush()
        os.fsync(file.fileno())
    digest = hashing.hash.hexdigest()
    if file_hash(path) != digest:
        raise OSError('what was read back differs from what was written')
    return digest


def _write_hashes(path: Path, *digests: str) -> None:
    listing = path.with_name(path.name + HASHES)
    temporary = listing.with_name(listing.name + TEMPORARY)
    with temporary.open('w') as file:
        file.writelines(f'{digest}  {path.name}\n' for digest in dict.fromkeys(digests))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, listing)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def known_hashes(path: Path) -> list[str]:
    """The hashes that the list beside a checkpoint allows it to have; empty without a list."""
    try:
        lines = path.with_name(path.name + HASHES).read_text(errors='replace').splitlines()
    except OSError:
        return []
    return [line.split()[0] for line in lines if line.strip()]


def remove_checkpoint(path: str | Path) -> None:
    """Delete a checkpoint and its hash."""
    path = Path(path)
    path.unlink(missing_ok=True)
    path.with_name(path.name + HASHES).unlink(missing_ok=True)


def fault(path: str | Path) -> str | None:
    """Why a checkpoint's bytes are not the ones that were written, in words; None when they are."""
    path = Path(path)
    hashes = known_hashes(path)
    if hashes:
        return None if file_hash(path) in hashes else f'its content does not match {path.name}{HASHES}'
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        return f'it is incomplete ({error})'
    return f'its part {broken} is damaged' if broken else None


def newest_checkpoint(folder: str | Path, run: str | None = None) -> tuple[Path | None, list[str]]:
    """The whole checkpoint of `folder` that is furthest in training, and why each one further was passed over.

    Candidates are the `.pth` files of the folder that a run can be resumed from, or, in a folder without any, the one
    in `last_checkpoint`; with `run`, those of the run with this id.
    """
    folder = Path(folder)
    skipped: list[str] = []
    progress: list[tuple[tuple[int, int], Path]] = []
    for path in _candidates(folder):
        try:
            content = read_checkpoint(path, mmap=True)
            meta = content.get('meta')
            if 'optimizer' in content and isinstance(meta, Mapping):
                if run is not None and meta.get('run') != run:
                    skipped.append(f'Skipped {path}: it is of another run than the one that began here last.')
                    continue
                progress.append(((int(meta['iter']), path.stat().st_mtime_ns), path))
        except (CheckpointError, KeyError, TypeError, ValueError) as error:
            skipped.append(f'Skipped {error}' if str(path) in str(error) else f'Skipped {path}: {error}')
    for _, path in sorted(progress, reverse=True):
        problem = fault(path)
        if problem is None:
            return path, skipped
        skipped.append(f'Skipped {path}: {problem}.')
    return None, skipped


def _candidates(folder: Path) -> list[Path]:
    """Checkpoints by their own names; `best.pth` and `last.pth` lead to others of them, or are copies of these."""
    found = sorted(p for p in folder.glob('*.pth') if not p.name.startswith(('best_', 'nan_')) and p.name not in NAMES)
    named = None if found else pointed_checkpoint(folder)
    return [named] if named is not None and named.is_file() else found


def pointed_checkpoint(folder: str | Path) -> Path | None:
    """The file that the `last_checkpoint` of a run's folder means; None where the folder has no such record.

    A file of that name in the folder itself comes first: the record holds the path that the folder had when it was
    written, and it may have been copied or moved since; the checkpoints of the original are not meant then.
    """
    record = Path(folder) / 'last_checkpoint'
    if not record.is_file():
        return None
    named = Path(record.read_text(errors='replace').strip() or '.')
    here, other = Path(folder) / named.name, named.parent / 'last_checkpoint'
    if here.is_file():
        return here
    return None if other.is_file() and not other.samefile(record) else named
