"""Necks that mmdetection and mmsegmentation lack."""

from denseformer.necks.fpn import FPN, EfficientViTFPN
from denseformer.necks.last_map import LastMapAttention
from denseformer.necks.one_stride import DeconvPyramid, MultiLevelNeck, SimpleFeaturePyramid

__all__ = ['FPN', 'DeconvPyramid', 'EfficientViTFPN', 'LastMapAttention', 'MultiLevelNeck', 'SimpleFeaturePyramid']
