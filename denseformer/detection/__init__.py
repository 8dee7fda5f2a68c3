"""Mask2Former, EoMT, test-time augmentation, and the scores of boxes, masks and panoptic maps; detectors themselves are
mmdetection's.
"""

from denseformer.detection.eomt import EoMT, EoMTHead, EoMTSemanticHead
from denseformer.detection.mask2former import (
    Mask2Former,
    Mask2FormerHead,
    Mask2FormerSegmentor,
    Mask2FormerSemanticHead,
    MaskFusion,
)
from denseformer.detection.metrics import CocoMetric, PanopticMetric, VOCMetric
from denseformer.detection.test_time import DetectorTTA

__all__ = [
    'CocoMetric',
    'DetectorTTA',
    'EoMT',
    'EoMTHead',
    'EoMTSemanticHead',
    'Mask2Former',
    'Mask2FormerHead',
    'Mask2FormerSegmentor',
    'Mask2FormerSemanticHead',
    'MaskFusion',
    'PanopticMetric',
    'VOCMetric',
]
