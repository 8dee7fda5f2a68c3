"""Modules that are put between the parts of a backbone: our own takes them as `plugins`, as mmcv's ResNets do."""

from denseformer.plugins.ela import ELA
from denseformer.plugins.polarized import PolarizedSelfAttention

__all__ = ['ELA', 'PolarizedSelfAttention']
