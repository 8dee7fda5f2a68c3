"""Addresses of checkpoints: everything that may stand where a path does.

weights:NAME                    an entry of the catalog, as `denseformer weights list` shows them
weights:NETWORK/ARCH/LABEL      what `pretrained=LABEL` names for a variant of a backbone
hf://owner/name@revision/file   a file of the Hugging Face hub
https://...#sha256=...          a file on the web, with its hash
FOLDER                          the weights of a folder that `save_pretrained` wrote
"""

from pathlib import Path

from denseformer.checkpoints.cache import fetch
from denseformer.checkpoints.catalog import WeightFile, by_name, starting_weights
from denseformer.checkpoints.download import local_copy
from denseformer.checkpoints.hub import fetch_hub_address
from denseformer.checkpoints.sharing import saved_weights

CATALOG = 'weights:'


def is_address(path: str | Path) -> bool:
    """Whether `path` is one of the addresses above rather than a path of this machine."""
    return str(path).startswith((CATALOG, 'hf://', 'http://', 'https://'))


def local_file(path: str | Path) -> Path:
    """The file that a path or an address stands for, fetched where it must be.

    Raises CheckpointError when an address is wrong or its file cannot be had.
    """
    address = str(path)
    if address.startswith(CATALOG):
        return fetch(catalog_entry(address))
    if address.startswith('hf://'):
        return fetch_hub_address(address)
    if is_address(address):
        return local_copy(address)
    return saved_weights(Path(path)) if Path(path).is_dir() else Path(path)


def catalog_entry(address: str) -> WeightFile:
    """The entry that a `weights:` address names. Raises CheckpointError listing what there is."""
    name = address.removeprefix(CATALOG)
    return starting_weights(*name.split('/')) if name.count('/') == 2 else by_name(name)
