"""Weights: reading and writing files safely, and giving networks what their authors published.

Reading and writing need PyTorch, which is imported when one of them is first asked for; the catalog does without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from denseformer.checkpoints.common import CheckpointError

if TYPE_CHECKING:
    from denseformer.checkpoints.files import read_checkpoint, require_file, weights_of
    from denseformer.checkpoints.writing import newest_checkpoint, remove_checkpoint, write_checkpoint

__all__ = [
    'CheckpointError',
    'newest_checkpoint',
    'read_checkpoint',
    'remove_checkpoint',
    'require_file',
    'weights_of',
    'write_checkpoint',
]


def __getattr__(name: str) -> Any:
    """A name of `__all__` from the module that defines it."""
    if name not in __all__:
        raise AttributeError(f"module 'denseformer.checkpoints' has no attribute '{name}'")
    files, writing = (import_module(f'denseformer.checkpoints.{module}') for module in ('files', 'writing'))
    return getattr(files if hasattr(files, name) else writing, name)
