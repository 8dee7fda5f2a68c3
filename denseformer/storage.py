"""Files in object stores and on the web: addresses that fsspec knows, s3://bucket/key, gs://, hf://, https:// ...

A file of this machine is a `pathlib.Path`; one that lies elsewhere is a `upath.UPath`, which has the same methods. What
is transferred here is tried again: stores answer 503 when they are busy, and connections are cut.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

T = TypeVar('T')
STORES = frozenset('abfs az gcs gs hdfs hf memory oci oss s3 sftp'.split())  # noqa: SIM905
"""Schemes of addresses that are read and written by fsspec."""
WEB = ('http', 'https')
"""Schemes of addresses that are a file where they end in the suffix of one, and else a stream."""
ATTEMPTS = 6
FIRST_PAUSE = 0.5
"""Seconds before the second attempt; before each further one twice as many, half of it by chance."""


def is_stored(path: str | Path, suffixes: frozenset[str] = frozenset()) -> bool:
    """Whether a path is the address of a file or folder elsewhere; suffixes: those of files that may lie on the web."""
    scheme, colon, _ = str(path).partition('://')
    return bool(colon) and (scheme in STORES or (scheme in WEB and PurePosixPath(str(path)).suffix.lower() in suffixes))


def is_local(path: Path) -> bool:
    """Whether a path is one of this machine."""
    return isinstance(path, Path)


def path_of(text: str | Path) -> Path:
    """The path of an address, or of a file of this machine; raises ValueError where a package for it is missing."""
    scheme, colon, _ = str(text).partition('://')
    if not colon or isinstance(text, Path):
        return Path(text)
    try:
        from upath import UPath

        path: Any = UPath(str(text), use_listings_cache=False)
        path.fs  # noqa: B018 (imports the package of the scheme)
    except ImportError as error:
        raise ValueError(
            f"'{text}': {error}. pip install 'denseformer[storage]', and what {scheme}:// needs."
        ) from error
    return path


def patiently(work: Callable[[], T]) -> T:
    """The result of a transfer, which is tried again where it fails but for a missing file or permission."""
    for attempt in range(ATTEMPTS):
        try:
            return work()
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError):
            raise
        except Exception:  # each store has errors of its own
            if attempt == ATTEMPTS - 1:
                raise
        time.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1))
    raise AssertionError('the last attempt returns or raises')


def read_bytes(path: Path) -> bytes:
    """The content of a file."""
    return path.read_bytes() if is_local(path) else patiently(path.read_bytes)


def make_folder(path: Path) -> None:
    """Make a folder; stores have none."""
    if is_local(path):
        path.mkdir(parents=True, exist_ok=True)


def publish(complete: Path, path: Path) -> None:
    """Put a complete file of this machine where it belongs, in one step: nobody ever sees half of it."""
    if is_local(path):
        os.replace(complete, path)
        return
    store: Any = path
    patiently(lambda: store.fs.put_file(str(complete), store.path))
    complete.unlink()


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    patiently(lambda: path.unlink(missing_ok=True))
