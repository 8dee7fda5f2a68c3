"""Losses and scores of semantic segmentation; segmentors themselves are mmsegmentation's."""

from denseformer.segmentation.losses import DiceLoss, FocalLoss, HardPixelLoss, TverskyLoss
from denseformer.segmentation.metrics import SegmentationMetric

__all__ = ['DiceLoss', 'FocalLoss', 'HardPixelLoss', 'SegmentationMetric', 'TverskyLoss']
