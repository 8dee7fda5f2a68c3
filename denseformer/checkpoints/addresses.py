"""Addresses of checkpoints: everything that may stand where a path does.

weights:NAME                    an entry of the catalog, as `denseformer weights list` shows them
weights:NETWORK/ARCH/LABEL      what `pretrained=LABEL` names for a variant of a backbone
hf://owner/name@revision/file   a file of the Hugging Face hub
https://...#sha256=...          a file on the web, with its hash
s3://bucket/key, gs://...       a file of an object store that fsspec knows
FOLDER                          the weights of a folder that `save_pretrained` wrote
"""

import os
from hashlib import sha256
from pathlib import Path

from denseformer.checkpoints.cache import fetch
from denseformer.checkpoints.catalog import WeightFile, by_name, starting_weights
from denseformer.checkpoints.common import CheckpointError
from denseformer.checkpoints.download import cache_folder, local_copy
from denseformer.checkpoints.hub import fetch_hub_address
from denseformer.checkpoints.sharing import saved_weights
from denseformer.storage import is_stored, path_of, patiently

CATALOG = 'weights:'


def is_address(path: str | Path) -> bool:
    """Whether `path` is one of the addresses above rather than a path of this machine."""
    return str(path).startswith((CATALOG, 'hf://', 'http://', 'https://')) or is_stored(path)


def local_file(path: str | Path) -> Path:
    """The file that a path or an address stands for, fetched where it must be.

    Raises CheckpointError when an address is wrong or its file cannot be had.
    """
    address = str(path)
    if address.startswith(CATALOG):
        return fetch(catalog_entry(address))
    if address.startswith('hf://'):
        return fetch_hub_address(address)
    if is_stored(address):
        return stored_copy(address)
    if is_address(address):
        return local_copy(address)
    return saved_weights(Path(path)) if Path(path).is_dir() else Path(path)


def stored_copy(address: str) -> Path:
    """The file of an object store, copied into the cache; again where the store has a newer one."""
    path = path_of(address)
    try:
        version = patiently(lambda: path.fs.ukey(path.path))  # type: ignore[attr-defined]
        copy = cache_folder() / 'stored' / sha256(f'{address} {version}'.encode()).hexdigest()[:32] / path.name
        if not copy.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            unfinished = copy.with_name(f'.{copy.name}.{os.getpid()}')
            patiently(lambda: path.fs.get_file(path.path, str(unfinished)))  # type: ignore[attr-defined]
            os.replace(unfinished, copy)
    except Exception as error:  # each store has errors of its own
        raise CheckpointError(f'{address}: cannot be read ({error or type(error).__name__}).') from error
    return copy


def catalog_entry(address: str) -> WeightFile:
    """The entry that a `weights:` address names. Raises CheckpointError listing what there is."""
    name = address.removeprefix(CATALOG)
    return starting_weights(*name.split('/')) if name.count('/') == 2 else by_name(name)
