"""Necks that mmdetection and mmsegmentation lack."""

from denseformer.necks.fpn import FPN, EfficientViTFPN

__all__ = ['FPN', 'EfficientViTFPN']
