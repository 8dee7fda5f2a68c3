"""The error, the hash and the file name that reading, writing, downloading and sharing of checkpoints share."""

import hashlib
from pathlib import Path

BLOCK = 1 << 22
WEIGHTS = 'model.safetensors'
"""The name of the weights in a folder that is shared."""


class CheckpointError(ValueError):
    """A checkpoint file that cannot be used; the message names it, says why and what to do."""


class UntrustedError(CheckpointError):
    """A file that holds more than data, and is read only where its user trusts it."""


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, read block by block."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
