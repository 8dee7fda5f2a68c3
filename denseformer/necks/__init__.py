"""What stands between a backbone and a head and mmdetection lacks."""

from denseformer.necks.fpn import FPN, EfficientViTFPN

__all__ = ['FPN', 'EfficientViTFPN']
