"""Mask2Former, necks, sampling by class, test-time augmentation, and the scores of boxes, masks and panoptic maps.

Detectors themselves are mmdetection's.
"""

from denseformer.detection.mask2former import (
    Mask2Former,
    Mask2FormerHead,
    Mask2FormerSegmentor,
    Mask2FormerSemanticHead,
    MaskFusion,
)
from denseformer.detection.metrics import CocoMetric, PanopticMetric, VOCMetric
from denseformer.detection.necks import RCFPN, AttFPN
from denseformer.detection.sampling import RepeatFactorSampler
from denseformer.detection.test_time import DetectorTTA

__all__ = [
    'RCFPN',
    'AttFPN',
    'CocoMetric',
    'DetectorTTA',
    'Mask2Former',
    'Mask2FormerHead',
    'Mask2FormerSegmentor',
    'Mask2FormerSemanticHead',
    'MaskFusion',
    'PanopticMetric',
    'RepeatFactorSampler',
    'VOCMetric',
]
