"""Weights: reading files safely, and giving networks what their authors published."""

from denseformer.checkpoints.files import CheckpointError, read_checkpoint, weights_of

__all__ = ['CheckpointError', 'read_checkpoint', 'weights_of']
