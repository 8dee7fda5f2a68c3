"""The cache of published weights: fetched once, pinned by hash, shared by all processes of a machine.

A file whose hash its authors publish must have it. Any other is pinned when it is first fetched or added: its hash goes
into the `weights.lock` of the cache, and into that of the working directory where there is one, to be committed with a
project, whose pins count; a later file with another hash is refused, and so is a cached one.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlparse

from filelock import FileLock
from mmengine.logging import print_log

from denseformer.checkpoints.catalog import BUNDLED, WeightFile, by_name, catalog
from denseformer.checkpoints.common import WEIGHTS, CheckpointError, file_hash
from denseformer.checkpoints.download import NoRoomError, cache_folder, download, make_folder, unpack_only
from denseformer.checkpoints.hub import fetch_from_hub, has_client
from denseformer.checkpoints.other_kinds import (
    INDEX,
    SUFFIXES,
    inside,
    is_archive,
    is_zip_of_files,
    other_kind,
    part_of_model,
    truncated,
)

LOCK_NAME = 'weights.lock'
ARCHIVES = ('.tar', '.gz')
"""Suffixes of published files that are archives, as of TensorFlow's checkpoints."""
ALIKE = {'.pth', '.pt', '.bin', '.ckpt', '.tar'}
"""Suffixes of the files that `torch.save` writes, `.pth.tar` among them."""

Check = Callable[[WeightFile, Path], object]
"""A function of an entry and the file that is said to be its, which raises CheckpointError where it is another one."""


class Pin(NamedTuple):
    """A file as it was when it was first seen.

    sha256: the whole hash; bytes: its size; url: where it came from, the bare name of a file that was added by hand.
    """

    sha256: str
    bytes: int
    url: str


def weights_folder() -> Path:
    return cache_folder() / 'weights'


def lock_paths() -> list[Path]:
    """The lock files: the cache's, and that of the working directory where there is one, whose pins count."""
    local = Path(LOCK_NAME)
    return [weights_folder() / LOCK_NAME, *([local] if local.is_file() else [])]


def read_lock(path: Path) -> dict[str, Pin]:
    """The pinned files of a lock file by name. Raises CheckpointError where it cannot be read."""
    if not path.is_file():
        return {}
    try:
        return {name: Pin(**pin) for name, pin in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f'{path}: not a lock file of weights ({error}). Restore it, or delete it.') from error


def pin_of(name: str) -> tuple[Pin, Path] | None:
    """The pin of a file and the lock file that it is in, the working directory's before the cache's."""
    found = ((read_lock(path).get(name), path) for path in reversed(lock_paths()))
    return next(((pin, path) for pin, path in found if pin is not None), None)


def write_lock(path: Path, pins: dict[str, Pin]) -> None:
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    part.write_text(json.dumps({name: pin._asdict() for name, pin in sorted(pins.items())}, indent=1) + '\n')
    os.replace(part, path)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of `path` against the other processes of the machine."""
    make_folder(path.parent)
    with FileLock(f'{path}.lock'):
        yield


def path_of(file: WeightFile) -> Path:
    """Where the cache keeps a file, whether it is there or not; a bundled one lies in the package."""
    if file.bundled:
        return BUNDLED / file.name / WEIGHTS
    named = file.file or (PurePosixPath(unquote(urlparse(file.urls[0]).path)).name if file.urls else '')
    named = re.sub(r'\.pth\.tar$', '.pth', named)  # no archive, but what torch.save wrote
    suffix = next(
        (suffix for suffix in SUFFIXES if named.endswith(suffix)),
        '.safetensors' if file.hub and not file.zipped else '.pth',
    )
    return weights_folder() / f'{file.name}{suffix}'


def present(file: WeightFile) -> Path | None:
    """The cached file, None where it was not fetched."""
    path = path_of(file)
    return path if path.is_file() else None


def fetch(file: WeightFile, *, commercial_only: bool = False) -> Path:
    """The file at hand, fetched into the cache unless it is there.

    commercial_only: refuse weights whose license does not allow commercial use, or does not say.
    Raises CheckpointError when it cannot be had, saying which file to fetch from where and how to add it.
    """
    if commercial_only and file.commercial is not True:
        raise CheckpointError(
            f"{file.name}: its license ('{file.license}') does not say that it allows commercial use; refused because "
            'of --commercial-only.'
        )
    path = path_of(file)
    if file.bundled:
        return path
    if path.is_file() and not os.access(path.parent, os.W_OK):  # a cache that somebody else fills
        _take_over(file, path)
        return path
    with alone(path):
        if path.is_file():
            if file.zipped and is_zip_of_files(path):
                _unpack(file, path, path)
            _take_over(file, path)
            return path
        for lock in lock_paths():
            read_lock(lock)  # one that cannot be read is named before anything is fetched
        print_log(f'{file.name}: license {file.license}, {commercial_note(file)}', 'current')
        if file.hub and (has_client() or not file.direct_urls):
            url = f'hf://{file.hub}'
            try:
                found = fetch_from_hub(file.hub, file.file)
            except CheckpointError as error:
                raise CheckpointError(f'{file.name}: {error} {by_hand(file, " or ".join(file.urls) or url)}') from error
            if file.zipped:
                _unpack(file, found, path)
            else:
                shutil.copyfile(found, part := path.with_name(path.name + '.part'))
                os.replace(part, path)
        else:
            url = _download_any(file, path)
        try:
            _pin(file, path, url)
        except CheckpointError:
            path.unlink()
            raise
        return path


def commercial_note(file: WeightFile) -> str:
    return {True: 'commercial use allowed', False: 'not for commercial use', None: 'commercial use unclear'}[
        file.commercial
    ]


def _download_any(file: WeightFile, path: Path) -> str:
    """Fetch from the first of the direct addresses that answers; return it."""
    if not file.direct_urls:
        where = ' or '.join(file.urls) or f'its authors ({file.source})'
        raise CheckpointError(f'{file.name}: {by_hand(file, where)}')
    failures = []
    for url in file.direct_urls:
        try:
            if file.zipped:
                _download_zip(file, url, path)
            else:
                download(url, path, file.sha256 or '')
            return url
        except NoRoomError:
            raise
        except CheckpointError as error:
            failures.append(str(error))
    raise CheckpointError(f'{file.name}: {" ".join(failures)} {by_hand(file, " or ".join(file.urls))}')


def _download_zip(file: WeightFile, url: str, path: Path) -> None:
    archive = download(url, path.with_name(path.name + '.zip'))
    try:
        _unpack(file, archive, path)
    except NoRoomError:
        raise  # the archive is kept, and not fetched again
    except CheckpointError:
        archive.unlink()
        raise
    archive.unlink()


def _unpack(file: WeightFile, archive: Path, path: Path) -> None:
    """Put the checkpoint in an archive, which may lie there, at `path`.

    Pins of the archive itself, as earlier versions noted them, become pins of the checkpoint.
    """
    pinned = {lock for lock in _writable_locks() if file.name in read_lock(lock)}
    packed = file_hash(archive) if pinned else ''
    unpack_only(archive, path)
    for lock in pinned:
        with alone(lock):
            pins = read_lock(lock)
            if pins[file.name].sha256 == packed:
                pin = pins[file.name]._replace(sha256=file_hash(path), bytes=path.stat().st_size)
                write_lock(lock, {**pins, file.name: pin})


def by_hand(file: WeightFile, where: str) -> str:
    what = f"'{file.file}'" if file.file else f"the file of '{file.variant or file.name}'"
    return f'Fetch {what} from {where} in a browser, then run `denseformer weights add FILE --name {file.name}`.'


def _pin(file: WeightFile, path: Path, url: str) -> None:
    """Note the hash of a new file, or hold it against the one that was noted."""
    found = file_hash(path)
    if file.sha256 and not found.startswith(file.sha256):
        raise CheckpointError(f'{url}: has the hash {found}, its authors say {file.sha256}: damaged, or another file.')
    pinned = pin_of(file.name)
    if pinned is not None and pinned[0].sha256 != found:
        raise CheckpointError(
            f'{file.name}: {url} has the hash {found}, {pinned[1]} says {pinned[0].sha256}: the file was replaced. '
            'If you trust the new one, remove its line from the lock file and fetch again.'
        )
    source = url if '://' in url else PurePath(url).name  # a lock file is committed, and folders are of one machine
    _note(file.name, Pin(found, path.stat().st_size, source))


def _note(name: str, pin: Pin) -> None:
    """Write a pin into each lock file that does not have its hash; one that has it keeps what it says of it."""
    for lock in _writable_locks():
        with alone(lock):
            pins = read_lock(lock)
            if name not in pins or pins[name].sha256 != pin.sha256:
                write_lock(lock, {**pins, name: pin})


def _writable_locks() -> list[Path]:
    return [lock for lock in lock_paths() if os.access(lock.parent, os.W_OK)]


def _take_over(file: WeightFile, path: Path) -> None:
    """Hold a cached file against the pin that counts, and note it in a lock file that does not have it yet.

    The cache's lock file says which hash it had when it came; it is hashed only where that says nothing, and there is a
    hash to hold it against or a lock file to note it in.
    """
    ours, *local = (read_lock(lock).get(file.name) for lock in lock_paths())
    if ours is None:
        if file.sha256 or any(local) or _writable_locks():
            _pin(file, path, str(path))
    elif local == [None]:
        _note(file.name, ours)
    elif local and local[0].sha256 != ours.sha256:
        raise CheckpointError(
            f'{file.name}: {path} has the hash {ours.sha256}, {LOCK_NAME} says {local[0].sha256}. To fetch the pinned '
            f'one, run `denseformer weights remove {file.name}` first; to keep the cached one, take its line out of '
            f'{LOCK_NAME}.'
        )


def add(source: str | Path, name: str | None = None, check: Check | None = None) -> tuple[WeightFile, Path]:
    """Put a file that was fetched elsewhere into the cache: recognized by hash, by file name, or named by `name`.

    check: called with the entry and the file where no hash is published, to raise what is wrong with it.
    Raises CheckpointError when there is no such file, it is of another kind or not recognized, or its hash is another
    than pinned.
    """
    source = Path(source)
    if source.is_dir():
        raise CheckpointError(f'{source}: a folder; {inside(source)}')
    if not source.is_file():
        raise CheckpointError(f'{source}: no such file.')
    if source.name.endswith(INDEX) or part_of_model(source):
        raise CheckpointError(
            f'{source}: of a model in parts, and the cache keeps single files. Name its {INDEX} where the weights are '
            'used, as in pretrained=FILE.'
        )
    file = by_name(name) if name else _recognize(source)
    if file.bundled:
        raise CheckpointError(f'{source}: {file.name} comes with the package, and is not replaced.')
    target = path_of(file)
    if source.suffix in SUFFIXES and source.suffix != target.suffix and not {source.suffix, target.suffix} <= ALIKE:
        raise CheckpointError(
            f"{source}: is a '{source.suffix}' file, {file.name} is a '{target.suffix}' file. Name the entry that it "
            'is with --name; `weights list` shows all.'
        )
    with alone(target), _unpacked(file, source) as checkpoint:
        published_archive = target.suffix in ARCHIVES and is_archive(checkpoint)
        if not published_archive and (kind := other_kind(checkpoint) or truncated(checkpoint)):
            raise CheckpointError(f'{source}: {kind}')
        if check is not None and not file.sha256:
            check(file, checkpoint)
        part = target.with_name(target.name + '.part')
        shutil.copyfile(checkpoint, part)
        try:
            _pin(file, part, str(source))
        except CheckpointError:
            part.unlink()
            raise
        os.replace(part, target)
    return file, target


@contextmanager
def _unpacked(file: WeightFile, source: Path) -> Iterator[Path]:
    """The checkpoint in an archive that is published as such; any other file itself."""
    if not (file.zipped and is_zip_of_files(source)):
        yield source
        return
    with tempfile.TemporaryDirectory(dir=weights_folder()) as folder:
        checkpoint = Path(folder, path_of(file).name)
        _unpack(file, source, checkpoint)
        yield checkpoint


def _recognize(source: Path) -> WeightFile:
    digest = file_hash(source)
    pinned = {name for lock in lock_paths() for name, pin in read_lock(lock).items() if pin.sha256 == digest}
    by_hash = [
        file for file in catalog().values() if (file.sha256 and digest.startswith(file.sha256)) or file.name in pinned
    ]
    found = by_hash or [file for file in catalog().values() if file.file == source.name]
    if len(found) == 1:
        return found[0]
    which = f'it may be {", ".join(map(str, found[:8]))}' if found else 'no entry has its hash or its file name'
    raise CheckpointError(f'{source}: not recognized: {which}. Say which with --name; `weights list` shows all.')


def remove(name: str) -> Path:
    """Delete a file from the cache; its pin stays. Raises CheckpointError when it is not there."""
    path = present(by_name(name))
    if path is None:
        raise CheckpointError(f'{name}: not in the cache ({weights_folder()}).')
    if by_name(name).bundled:
        raise CheckpointError(f'{name}: comes with the package, and is not removed.')
    path.unlink()
    return path


def verify() -> dict[str, str]:
    """The fault of each cached file, by name; empty text for one that is as it was published or pinned."""
    found = {}
    for file in catalog().values():
        path = present(file)
        if path is None:
            continue
        digest, pinned = file_hash(path), pin_of(file.name)
        if file.sha256 and not digest.startswith(file.sha256):
            found[file.name] = f'{path} has the hash {digest}, its authors say {file.sha256}: remove and fetch again'
        elif pinned and pinned[0].sha256 != digest:
            found[file.name] = (
                f'{path} has the hash {digest}, {pinned[1]} says {pinned[0].sha256}: remove and fetch again'
            )
        else:
            found[file.name] = '' if pinned or file.sha256 else f'{path} was never pinned: remove it and fetch again'
    return found
