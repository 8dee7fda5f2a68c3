"""What mmdetection lacks."""

from denseformer.detection.mask2former import (
    Mask2Former,
    Mask2FormerHead,
    Mask2FormerSegmentor,
    Mask2FormerSemanticHead,
)
from denseformer.detection.mask_fusion import MaskFusion
from denseformer.detection.metrics import CocoMetric, VOCMetric
from denseformer.detection.panoptic_quality import PanopticMetric

__all__ = [
    'CocoMetric',
    'Mask2Former',
    'Mask2FormerHead',
    'Mask2FormerSegmentor',
    'Mask2FormerSemanticHead',
    'MaskFusion',
    'PanopticMetric',
    'VOCMetric',
]
