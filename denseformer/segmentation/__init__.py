"""Scores of semantic segmentation; segmentors themselves are mmsegmentation's."""

from denseformer.segmentation.metrics import SegmentationMetric

__all__ = ['SegmentationMetric']
