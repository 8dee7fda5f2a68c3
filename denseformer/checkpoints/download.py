"""Fetching published files: nothing is used before its hash is right, and what was fetched is not fetched twice."""

import errno
import lzma
import os
import re
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urldefrag, urlparse

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from denseformer.checkpoints.common import CheckpointError, file_hash
from denseformer.checkpoints.other_kinds import SUFFIXES, not_sent

IN_NAME = re.compile(r'-([0-9a-f]{8,64})\.[^.]+$')
GIVEN = re.compile(r'sha256=([0-9a-f]{8,64})')
BLOCK = 1 << 20
PAUSE = 1.0
"""Seconds before the second attempt; doubled for each further one."""
PASSING = (408, 429)
"""Answers of a server that was too slow, or asked too often."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk, or of what a user may have of it."""


class NoRoomError(CheckpointError):
    """A file that the disk has no room for."""


def cache_folder() -> Path:
    """The folder of downloaded files: $DENSEFORMER_CACHE, or one in the user's cache."""
    return Path(os.environ.get('DENSEFORMER_CACHE') or Path.home() / '.cache' / 'denseformer')


def local_copy(address: str) -> Path:
    """The file at `address`, fetched into the cache unless it is there.

    The address says which hash the file has to have, by `#sha256=...` at its end or, as OpenMMLab and torch hub do, by
    `-<8 or more digits>` before the suffix of the file's name. Raises CheckpointError when it says neither.
    """
    url, fragment = urldefrag(address)
    name = PurePosixPath(unquote(urlparse(url).path)).name
    match = GIVEN.fullmatch(fragment) or IN_NAME.search(name)
    if match is None:
        raise CheckpointError(
            f'{address}: says no hash to check the file against. Append #sha256= and its digits, or fetch it yourself '
            'and name the file.'
        )
    return download(url, cache_folder() / f'{match[1][:16]}-{name}', match[1])


def download(url: str, path: str | Path, sha256: str = '', *, attempts: int = 4) -> Path:
    """Fetch `url` to `path`; `sha256` is the file's hash or its first digits, '' where the caller pins it afterwards.

    What a broken connection left in `path.part` is completed, not fetched again, unless the server has another version
    by now. Raises CheckpointError when the file cannot be fetched, is a web page, empty or cut, or has another hash;
    then nothing stands at `path`.
    """
    path = Path(path)
    if urlparse(url).scheme not in ('http', 'https'):
        raise CheckpointError(f'{url}: only http and https addresses are fetched.')
    if path.is_file() and file_hash(path).startswith(sha256):
        return path
    make_folder(path.parent)
    part = path.with_name(path.name + '.part')
    for attempt in range(attempts):
        try:
            _fetch_rest(url, part)
            break
        except (OSError, HTTPException) as error:
            permanent = _is_permanent(error)
            if permanent or attempt == attempts - 1:
                mend = (
                    'The server no longer has it, or wants a login.'
                    if permanent
                    else 'Try again later: it resumes from there.'
                )
                raise CheckpointError(f'{url}: could not be fetched ({error}). {mend}') from error
            time.sleep(PAUSE * 2**attempt)
    found = file_hash(part)
    if not found.startswith(sha256):
        drop(part)
        raise CheckpointError(f'{url}: has the hash {found}, not {sha256}: it was changed or damaged, and is not used.')
    if kind := not_sent(part):
        drop(part)
        raise CheckpointError(f'{url}: what its server sent is {kind}')
    os.replace(part, path)
    drop(part)
    return path


def _is_permanent(error: Exception) -> bool:
    """Whether a server would give the same answer again."""
    return isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500 and error.code not in PASSING


def make_folder(folder: Path) -> None:
    """Make a folder of the cache. Raises CheckpointError where it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise CheckpointError(f'{folder}: cannot be written to. Set DENSEFORMER_CACHE to a folder that can.')


def version_of(part: Path) -> Path:
    """The file beside a part that keeps which version of the file its server said that it sends."""
    return part.with_name(f'{part.name}.version')


def drop(part: Path) -> None:
    """Delete a part, and what is known of its version."""
    for path in (part, version_of(part)):
        path.unlink(missing_ok=True)


def _headers(part: Path) -> dict[str, str]:
    """The headers that ask for the rest of a part, or for all where the server has another version of the file."""
    have = part.stat().st_size if part.is_file() else 0
    version = version_of(part).read_text() if version_of(part).is_file() else ''
    return {'Range': f'bytes={have}-'} | ({'If-Range': version} if version else {}) if have else {}


def _fetch_rest(url: str, part: Path) -> None:
    """Append the missing bytes; restart where the server cannot resume, or has another version of the file."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers=_headers(part))
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        drop(part)  # it is as long as the file, or longer: it cannot be continued
        response = urllib.request.urlopen(url, timeout=60)
    with response:
        if response.headers.get_content_type() == 'text/html':
            mend = 'The file lies under /raw/ or /resolve/ instead of /blob/.' if '/blob/' in url else ''
            raise CheckpointError(f'{url}: answers with a web page, not with the file. {mend}'.strip())
        continues = response.status == 206 and response.headers.get('Content-Range', '').startswith(f'bytes {have}-')
        length = response.headers.get('Content-Length')
        version = response.headers.get('ETag') or response.headers.get('Last-Modified') or ''
        if version and not version.startswith('W/'):  # a weak one does not tell bytes apart
            version_of(part).write_text(version)
        with part.open('ab' if continues else 'wb') as file:
            before = file.tell()
            with progress_bar(part.stem, before, before + int(length) if length else None) as advance:
                while block := response.read(BLOCK):
                    file.write(block)
                    advance(len(block))
            if length is not None and file.tell() - before < int(length):
                raise OSError(f'the connection ended after {file.tell()} bytes')


@contextmanager
def progress_bar(name: str, have: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """A line on a terminal's stderr that shows bytes, rate and time to go; yields a function to count bytes with."""
    columns = (TextColumn('{task.description}'), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=total, completed=have)
        yield lambda count: progress.advance(task, count)


def unpack(archive: str | Path, folder: str | Path, *, max_bytes: int = 1 << 40) -> None:
    """Unpack a .zip or .tar file, refusing members that would leave `folder`, and more than `max_bytes` in all."""
    archive, folder = Path(archive), Path(folder)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder, max_bytes)
        else:
            _unpack_tar(archive, folder, max_bytes)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise CheckpointError(f'{archive}: not unpacked ({error}).') from error


def _unpack_zip(archive: Path, folder: Path, max_bytes: int) -> None:
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        _check_size(archive, sum(member.file_size for member in members), max_bytes)
        for member in members:
            if not (folder / member.filename).resolve().is_relative_to(folder.resolve()):
                raise CheckpointError(f"{archive}: its member '{member.filename}' leads out of the folder; refused.")
        content.extractall(folder)


def _unpack_tar(archive: Path, folder: Path, max_bytes: int) -> None:
    with tarfile.open(archive) as content:
        _check_size(archive, sum(member.size for member in content.getmembers()), max_bytes)
        content.extractall(folder, filter='data')


def unpack_only(archive: Path, path: Path, *, max_bytes: int = 1 << 34) -> None:
    """Put the one checkpoint that a .zip file holds at `path`, complete or not at all; its own name counts for nothing.

    Raises NoRoomError where the disk is full, and CheckpointError for an archive that is damaged, or holds no
    checkpoint, several, or one of more than `max_bytes`.
    """
    part = path.with_name(path.name + '.part')
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.infolist() if member.filename.endswith(SUFFIXES)]
            members = [member for member in members if not PurePosixPath(member.filename).name.startswith('.')]
            if len(members) != 1:
                found = ', '.join(member.filename for member in members[:4]) or 'none'
                raise CheckpointError(f'{archive}: holds {len(members)} checkpoints ({found}), not one.')
            _check_size(archive, members[0].file_size, max_bytes)
            with content.open(members[0]) as source, part.open('wb') as file:
                shutil.copyfileobj(source, file, BLOCK)
        os.replace(part, path)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError) as error:
        raise CheckpointError(f'{archive}: not unpacked ({error}). Fetch it again.') from error
    except OSError as error:
        if error.errno in FULL:
            raise NoRoomError(f'{archive}: not unpacked to {path} ({error.strerror}). Make room there.') from error
        raise CheckpointError(f'{archive}: not unpacked ({error}). Fetch it again.') from error
    finally:
        part.unlink(missing_ok=True)


def _check_size(archive: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise CheckpointError(f'{archive}: would become {size} bytes, more than max_bytes={max_bytes}; refused.')
