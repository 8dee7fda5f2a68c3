"""Many image files in one: an LMDB database, from which tens of thousands of small files are read quickly.

Its keys are the images' paths below their folder, without suffix; its values the files' bytes, unchanged. A dataset
reads it where data_prefix names a folder that ends in `.lmdb`. Needs the package lmdb: `pip install lmdb`.
"""

import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

from denseformer.images.reading import read_bytes

SUFFIX = '.lmdb'
MAP_SIZE = 2**40
BATCH = 200


def write_store(files: dict[str, Path], store: Path) -> int:
    """Write {name: file} into a new database; return the number of bytes written.

    It is written beside its place and renamed; what an attempt that broke off has left there is replaced. Raises
    ValueError where `store` exists or does not end in `.lmdb`, and where it cannot be written.
    """
    if store.suffix != SUFFIX:
        raise ValueError(f"The name of a store ends in {SUFFIX}, got '{store}'.")
    if store.exists():
        raise ValueError(f"'{store}' exists; remove it first, or write another.")
    lmdb = import_lmdb()
    unfinished = store.with_name(f'{store.name}.part')
    remove_unfinished(unfinished)
    unfinished.mkdir(parents=True)
    names, total = list(files), 0
    try:
        with lmdb.open(str(unfinished), map_size=MAP_SIZE) as store_file:
            for start in range(0, len(names), BATCH):
                with store_file.begin(write=True) as transaction:
                    for name in names[start : start + BATCH]:
                        data = read_bytes(str(files[name]), 'image')
                        transaction.put(name.encode(), data)
                        total += len(data)
    except lmdb.Error as error:  # such as a full disk, or a name that is longer than a key may be
        raise ValueError(f"'{store}' cannot be written: {error}. Try again when that is mended.") from error
    os.replace(unfinished, store)
    return total


def remove_unfinished(folder: Path) -> None:
    """Delete what a broken attempt has left; ValueError where the folder holds something else."""
    if not folder.exists():
        return
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - {'data.mdb', 'lock.mdb'}:
        raise ValueError(f"'{folder}' is in the way and holds other files than an unfinished database; move it.")
    shutil.rmtree(folder)


def names_in(store: str) -> list[str]:
    """Names of the images in a database, sorted."""
    with open_store(store, os.getpid()).begin() as transaction:
        return [bytes(key).decode() for key in transaction.cursor().iternext(keys=True, values=False)]


def read_file(path: str) -> bytes:
    """The bytes of an image, from its file or, for 'FOLDER.lmdb/NAME', from a database; ValueError without one."""
    store, inside, name = path.partition(f'{SUFFIX}/')
    if not inside:
        return read_bytes(path, 'image')
    with open_store(store + SUFFIX, os.getpid()).begin() as transaction:
        data = transaction.get(name.encode())
    if data is None:
        raise ValueError(f"There is no image '{name}' in '{store}{SUFFIX}'.")
    return bytes(data)


@lru_cache(maxsize=8)
def open_store(store: str, process: int) -> Any:
    """A database for reading; each process, such as a data loader's worker, opens its own."""
    if not Path(store, 'data.mdb').is_file():
        raise ValueError(f"'{store}' is no LMDB database; make one with `denseformer prepare lmdb FOLDER {store}`.")
    return import_lmdb().open(store, readonly=True, lock=False, readahead=False)


def import_lmdb() -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise ValueError('LMDB databases need the package lmdb: pip install lmdb.') from error
    return lmdb
