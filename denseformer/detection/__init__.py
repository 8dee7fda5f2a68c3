"""Published systems, necks, sampling by class, test-time augmentation, and scores of boxes, masks and panoptic maps.

Detectors themselves are mmdetection's.
"""

from denseformer.detection.eomt import EoMT, EoMTHead, EoMTSegmentor, EoMTSemanticHead
from denseformer.detection.fashionformer import FashionFormer, FashionFormerHead
from denseformer.detection.git import GiT, GiTDetectionHead, GiTDetector, GiTSegmentor, GiTSemanticHead
from denseformer.detection.kmax import KMaXDeepLab, KMaXFusion, KMaXHead, KMaXResNet, KMaXSegmentor, KMaXSemanticHead
from denseformer.detection.mask2former import (
    Mask2Former,
    Mask2FormerHead,
    Mask2FormerSegmentor,
    Mask2FormerSemanticHead,
    MaskFusion,
)
from denseformer.detection.metrics import AttributeMetric, CocoMetric, CocoPartsMetric, PanopticMetric, VOCMetric
from denseformer.detection.necks import RCFPN, AttFPN, ChannelMapper, CSPNeXtPAFPN, MambaYOLOPAFPN
from denseformer.detection.presence import PresenceCascadeRCNN, PresenceDDOD
from denseformer.detection.rtdetr import RTDETR, HybridEncoder, QualityVarifocalLoss, ResNetVD
from denseformer.detection.sam import USISSAM, PromptableSAM, PromptedMaskHead, PromptedRoIHead, USISNeck
from denseformer.detection.sampling import RepeatFactorSampler
from denseformer.detection.test_time import DetectorTTA
from denseformer.detection.yolo import MambaYOLODetector, YOLOv8Head

__all__ = [
    'RCFPN',
    'RTDETR',
    'USISSAM',
    'AttFPN',
    'AttributeMetric',
    'CSPNeXtPAFPN',
    'ChannelMapper',
    'CocoMetric',
    'CocoPartsMetric',
    'DetectorTTA',
    'EoMT',
    'EoMTHead',
    'EoMTSegmentor',
    'EoMTSemanticHead',
    'FashionFormer',
    'FashionFormerHead',
    'GiT',
    'GiTDetectionHead',
    'GiTDetector',
    'GiTSegmentor',
    'GiTSemanticHead',
    'HybridEncoder',
    'KMaXDeepLab',
    'KMaXFusion',
    'KMaXHead',
    'KMaXResNet',
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
    'PresenceCascadeRCNN',
    'PresenceDDOD',
    'PromptableSAM',
    'PromptedMaskHead',
    'PromptedRoIHead',
    'QualityVarifocalLoss',
    'RepeatFactorSampler',
    'ResNetVD',
    'USISNeck',
    'VOCMetric',
    'YOLOv8Head',
]
