"""Published systems, necks, sampling by class, test-time augmentation, and scores of boxes, masks and panoptic maps.

Detectors themselves are mmdetection's.
"""

from denseformer.detection.eomt import EoMT, EoMTHead, EoMTSemanticHead
from denseformer.detection.kmax import KMaXDeepLab, KMaXFusion, KMaXHead, KMaXSegmentor, KMaXSemanticHead
from denseformer.detection.mask2former import (
    Mask2Former,
    Mask2FormerHead,
    Mask2FormerSegmentor,
    Mask2FormerSemanticHead,
    MaskFusion,
)
from denseformer.detection.metrics import CocoMetric, PanopticMetric, VOCMetric
from denseformer.detection.necks import RCFPN, AttFPN, ChannelMapper, CSPNeXtPAFPN, MambaYOLOPAFPN
from denseformer.detection.rtdetr import RTDETR, HybridEncoder, QualityVarifocalLoss, ResNetVD
from denseformer.detection.sampling import RepeatFactorSampler
from denseformer.detection.test_time import DetectorTTA
from denseformer.detection.yolo import MambaYOLODetector, YOLOv8Head

__all__ = [
    'RCFPN',
    'RTDETR',
    'AttFPN',
    'CSPNeXtPAFPN',
    'ChannelMapper',
    'CocoMetric',
    'DetectorTTA',
    'EoMT',
    'EoMTHead',
    'EoMTSemanticHead',
    'HybridEncoder',
    'KMaXDeepLab',
    'KMaXFusion',
    'KMaXHead',
    'KMaXSegmentor',
    'KMaXSemanticHead',
    'MambaYOLODetector',
    'MambaYOLOPAFPN',
    'Mask2Former',
    'Mask2FormerHead',
    'Mask2FormerSegmentor',
    'Mask2FormerSemanticHead',
    'MaskFusion',
    'PanopticMetric',
    'QualityVarifocalLoss',
    'RepeatFactorSampler',
    'ResNetVD',
    'VOCMetric',
    'YOLOv8Head',
]
