"""Published systems, necks, sampling by class, test-time augmentation, and scores of boxes, masks and panoptic maps.

Detectors themselves are mmdetection's.
"""

from denseformer.detection.eomt import EoMT, EoMTHead, EoMTSemanticHead
from denseformer.detection.fashionformer import FashionFormer, FashionFormerHead
from denseformer.detection.kmax import KMaXDeepLab, KMaXFusion, KMaXHead, KMaXSegmentor, KMaXSemanticHead
from denseformer.detection.mask2former import (
    Mask2Former,
    Mask2FormerHead,
    Mask2FormerSegmentor,
    Mask2FormerSemanticHead,
    MaskFusion,
)
from denseformer.detection.metrics import AttributeMetric, CocoMetric, PanopticMetric, VOCMetric
from denseformer.detection.necks import RCFPN, AttFPN, ChannelMapper, CSPNeXtPAFPN
from denseformer.detection.sampling import RepeatFactorSampler
from denseformer.detection.test_time import DetectorTTA

__all__ = [
    'RCFPN',
    'AttFPN',
    'AttributeMetric',
    'CSPNeXtPAFPN',
    'ChannelMapper',
    'CocoMetric',
    'DetectorTTA',
    'EoMT',
    'EoMTHead',
    'EoMTSemanticHead',
    'FashionFormer',
    'FashionFormerHead',
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
    'RepeatFactorSampler',
    'VOCMetric',
]
