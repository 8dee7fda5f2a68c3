"""Mask2Former, necks, and the scores of boxes, masks and panoptic maps; detectors themselves are mmdetection's."""

from denseformer.detection.mask2former import (
    Mask2Former,
    Mask2FormerHead,
    Mask2FormerSegmentor,
    Mask2FormerSemanticHead,
    MaskFusion,
)
from denseformer.detection.metrics import CocoMetric, PanopticMetric, VOCMetric
from denseformer.detection.necks import RCFPN, AttFPN

__all__ = [
    'RCFPN',
    'AttFPN',
    'CocoMetric',
    'Mask2Former',
    'Mask2FormerHead',
    'Mask2FormerSegmentor',
    'Mask2FormerSemanticHead',
    'MaskFusion',
    'PanopticMetric',
    'VOCMetric',
]
