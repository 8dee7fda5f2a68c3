"""Weights: reading and writing files safely, and giving networks what their authors published."""

from denseformer.checkpoints.common import CheckpointError
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
