"""Modules that are put between the parts of a backbone: our own takes them as `plugins`, as mmcv's ResNets do."""

from denseformer.plugins.ela import ELA

__all__ = ['ELA']
