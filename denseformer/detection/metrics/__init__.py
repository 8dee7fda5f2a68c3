"""Scores of detection: average precision of boxes and masks, confusion of classes, panoptic quality."""

from denseformer.detection.metrics.attributes import AttributeMetric
from denseformer.detection.metrics.average_precision import CocoMetric, VOCMetric
from denseformer.detection.metrics.panoptic_quality import PanopticMetric
from denseformer.detection.metrics.parts import CocoPartsMetric

__all__ = ['AttributeMetric', 'CocoMetric', 'CocoPartsMetric', 'PanopticMetric', 'VOCMetric']
