"""What mmdetection lacks."""

from denseformer.detection.metrics import CocoMetric

__all__ = ['CocoMetric']
