"""What mmsegmentation lacks: published systems, as backbones and decode heads, and scores of semantic segmentation."""

from denseformer.segmentation.bevanet import BEVANet, BEVANetHead
from denseformer.segmentation.metrics import SegmentationMetric
from denseformer.segmentation.p2at import P2ATHead
from denseformer.segmentation.plain_heads import DPTHead, LinearHead
from denseformer.segmentation.segmentor import Segmentor

__all__ = ['BEVANet', 'BEVANetHead', 'DPTHead', 'LinearHead', 'P2ATHead', 'SegmentationMetric', 'Segmentor']
