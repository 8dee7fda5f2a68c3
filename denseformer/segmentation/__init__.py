"""What mmsegmentation lacks."""

from denseformer.segmentation.metrics import SegmentationMetric

__all__ = ['SegmentationMetric']
