"""Many image files in one: an LMDB data base, from which tens of thousands of small files are read quickly.

Its keys are the images' paths below their folder, without suffix; its values the files' bytes, unchanged. A data set
reads it where data_prefix names a folder that ends in `.lmdb`. Needs the package lmdb: `pip install lmdb`.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from denseformer.datasets.loading import read_bytes

SUFFIX = '.lmdb'
MAP_SIZE = 2**40
BATCH = 200


def write_store(files: dict[str, Path], store: Path) -> int:
    """Write {name: file} into a new data base; returns how many bytes the files have.

    Raises ValueError where `store` exists or does not end in `.lmdb`.
    """
    if store.suffix != SUFFIX:
        raise ValueError(f"The name of a store ends in {SUFFIX}, got '{store}'.")
    if store.exists():
        raise ValueError(f"'{store}' exists; remove it first, or write another.")
    unfinished = store.with_name(f'{store.name}.part')
    unfinished.mkdir(parents=True)
    names, total = list(files), 0
    with package().open(str(unfinished), map_size=MAP_SIZE) as store_file:
        for start in range(0, len(names), BATCH):
            with store_file.begin(write=True) as transaction:
                for name in names[start : start + BATCH]:
                    data = read_bytes(str(files[name]), 'image')
                    transaction.put(name.encode(), data)
                    total += len(data)
    os.replace(unfinished, store)
    return total


def names_in(store: str) -> list[str]:
    """The names of the images in a data base, in order."""
    with opened(store, os.getpid()).begin() as transaction:
        return [bytes(key).decode() for key in transaction.cursor().iternext(keys=True, values=False)]


def read_file(path: str) -> bytes:
    """The bytes of an image, from its file or, for 'FOLDER.lmdb/NAME', from a data base; ValueError without one."""
    store, inside, name = path.partition(f'{SUFFIX}/')
    if not inside:
        return read_bytes(path, 'image')
    with opened(store + SUFFIX, os.getpid()).begin() as transaction:
        data = transaction.get(name.encode())
    if data is None:
        raise ValueError(f"There is no image '{name}' in '{store}{SUFFIX}'.")
    return bytes(data)


@lru_cache(maxsize=8)
def opened(store: str, process: int) -> Any:
    """A data base for reading; each process, such as a data loader's worker, opens its own."""
    if not Path(store, 'data.mdb').is_file():
        raise ValueError(f"'{store}' is no LMDB data base; make one with `denseformer prepare lmdb FOLDER {store}`.")
    return package().open(store, readonly=True, lock=False, readahead=False)


def package() -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise ValueError('LMDB data bases need the package lmdb: pip install lmdb.') from error
    return lmdb
