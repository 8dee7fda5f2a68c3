"""Mask2Former, scores of boxes, masks and panoptic maps, sampling by class; detectors themselves are mmdetection's."""

from denseformer.detection.mask2former import (
    Mask2Former,
    Mask2FormerHead,
    Mask2FormerSegmentor,
    Mask2FormerSemanticHead,
    MaskFusion,
)
from denseformer.detection.metrics import CocoMetric, PanopticMetric, VOCMetric
from denseformer.detection.sampling import RepeatFactorSampler

__all__ = [
    'CocoMetric',
    'Mask2Former',
    'Mask2FormerHead',
    'Mask2FormerSegmentor',
    'Mask2FormerSemanticHead',
    'MaskFusion',
    'PanopticMetric',
    'RepeatFactorSampler',
    'VOCMetric',
]
