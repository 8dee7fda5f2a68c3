"""Additions to mmsegmentation: published systems, as backbones and decode heads, losses, and scores of label maps."""

from denseformer.segmentation.attswinunet import AttSwinUNetHead
from denseformer.segmentation.bevanet import BEVANet, BEVANetHead
from denseformer.segmentation.dpt import CroCoDPTHead, DPTHead, TIPSDPTHead
from denseformer.segmentation.facexformer import FaceXFormer, FaceXFormerHead
from denseformer.segmentation.hbformer import HBFormerHead
from denseformer.segmentation.hrnet import HRNet
from denseformer.segmentation.isomer import (
    ContextSharingTransformer,
    FlowPreProcessor,
    Isomer,
    IsomerHead,
    SemanticGatheringScatteringTransformer,
    VideoObjectSegmentor,
)
from denseformer.segmentation.linear_head import LinearHead
from denseformer.segmentation.losses import DiceLoss, FocalLoss, HardPixelLoss, SmoothCrossEntropy, TverskyLoss
from denseformer.segmentation.metrics import SegmentationMetric
from denseformer.segmentation.p2at import P2ATHead
from denseformer.segmentation.paratranscnn import ParaTransCNN, ParaTransCNNHead
from denseformer.segmentation.segformer import SegFormerHead
from denseformer.segmentation.segmentor import Segmentor
from denseformer.segmentation.unet_swin import UNetSwin
from denseformer.segmentation.unetformer import UNetFormerHead
from denseformer.segmentation.video_metric import VideoObjectMetric
from denseformer.segmentation.volume_metric import VolumeMetric

__all__ = [
    'AttSwinUNetHead',
    'BEVANet',
    'BEVANetHead',
    'ContextSharingTransformer',
    'CroCoDPTHead',
    'DPTHead',
    'DiceLoss',
    'FaceXFormer',
    'FaceXFormerHead',
    'FlowPreProcessor',
    'FocalLoss',
    'HBFormerHead',
    'HRNet',
    'HardPixelLoss',
    'Isomer',
    'IsomerHead',
    'LinearHead',
    'P2ATHead',
    'ParaTransCNN',
    'ParaTransCNNHead',
    'SegFormerHead',
    'SegmentationMetric',
    'Segmentor',
    'SemanticGatheringScatteringTransformer',
    'SmoothCrossEntropy',
    'TIPSDPTHead',
    'TverskyLoss',
    'UNetFormerHead',
    'UNetSwin',
    'VideoObjectMetric',
    'VideoObjectSegmentor',
    'VolumeMetric',
]
