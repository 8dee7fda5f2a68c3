"""Mask2Former, kMaX-DeepLab, necks, and scores of boxes, masks and panoptic maps; detectors are mmdetection's."""

from denseformer.detection.kmax import KMaXDeepLab, KMaXFusion, KMaXHead, KMaXSegmentor, KMaXSemanticHead
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
    'KMaXDeepLab',
    'KMaXFusion',
    'KMaXHead',
    'KMaXSegmentor',
    'KMaXSemanticHead',
    'Mask2Former',
    'Mask2FormerHead',
    'Mask2FormerSegmentor',
    'Mask2FormerSemanticHead',
    'MaskFusion',
    'PanopticMetric',
    'VOCMetric',
]
