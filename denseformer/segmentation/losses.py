"""Losses of label maps that mmsegmentation lacks."""

import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.registry import MODELS


@MODELS.register_module()
class SmoothCrossEntropy(nn.Module):
    """Cross-entropy with smoothed labels, the mean over labelled pixels.

    Args:
        smoothing: the share of the label that all classes have in equal parts.
        loss_weight: factor of the loss.
        loss_name: under which it is logged; names that begin with `loss_` are learned.
    """

    def __init__(self, smoothing: float = 0.05, loss_weight: float = 1.0, loss_name: str = 'loss_ce'):
        super().__init__()
        self.smoothing = smoothing
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self, scores: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
        """scores: (B, K, H, W) before the softmax; labels: (B, H, W)."""
        total = F.cross_entropy(
            scores, labels, ignore_index=ignore_index, label_smoothing=self.smoothing, reduction='sum'
        )
        return self.loss_weight * total / (labels != ignore_index).sum().clamp(min=1)
