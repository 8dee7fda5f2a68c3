"""Losses as mmsegmentation's heads call them, most for classes of few pixels: overlap, and pixels by how hard they are.

mmsegmentation's `LovaszLoss` does as its paper says and is used. Its DiceLoss sums all classes into one ratio, in which
rare ones vanish, counts pixels that are ignored, and takes the background for the class of a single logit; its
TverskyLoss knows no single logit; its FocalLoss fails on CPUs, and heads cannot call its OhemCrossEntropy.

A `sampler` of the head weighs pixels, and all of these losses honor its weights: sums and means are weighted ones.

Legend: B images, C logits (1 for two classes), H W pixels, P pixels that count.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.registry import MODELS


class PixelLoss(nn.Module, ABC):
    """A loss of the pixels that count: those with a label, and with a weight above 0 where a sampler gives weights."""

    def __init__(self, loss_weight: float, loss_name: str):
        super().__init__()
        self.loss_weight, self.loss_name = loss_weight, loss_name

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        *,
        weight: Tensor | None = None,
        ignore_index: int = 255,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Logits (B, C, H, W), labels (B, H, W), weights (B, H, W) not negative -> a number; 0 where no pixel counts.

        Raises ValueError for a reduction other than the mean, by which a sampler without a threshold ranks pixels.
        """
        if reduction_override not in (None, 'mean'):
            raise ValueError(
                f"{type(self).__name__} gives one number, no loss of each pixel. Give the head's sampler a threshold, "
                "sampler=dict(type='OHEMPixelSampler', thresh=0.7), or take denseformer.HardPixelLoss without one."
            )
        if weight is None:
            weight = torch.ones_like(logits[:, 0])
        labels = labels.masked_fill(weight == 0, ignore_index)
        counts = labels != ignore_index
        if not counts.any():
            return logits.sum() * 0
        return self.loss_weight * self.measure(logits, labels, weight[counts], ignore_index)

    @abstractmethod
    def measure(self, logits: Tensor, labels: Tensor, weights: Tensor, ignore_index: int) -> Tensor:
        """The loss of at least one pixel that counts; weights: (P,), above 0."""


@MODELS.register_module()
class TverskyLoss(PixelLoss):
    """One minus the Tversky index of each class that occurs, averaged ("Tversky loss function for image segmentation
    using 3D fully convolutional deep networks", https://arxiv.org/abs/1706.05721).

    The index is TP / (TP + alpha FP + beta FN) of probabilities, over all pixels of the batch. With one logit there is
    one class, that of label 1.

    Args:
        alpha, beta: weights of what is found and is not there, and of what is there and is not found; not negative,
            not both 0.
        smooth: pixels that are added to numerator and denominator.
        loss_weight: factor of the loss.
        loss_name: its name in the log; begins with `loss_`.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        smooth: float = 1.0,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_tversky',
    ):
        super().__init__(loss_weight, loss_name)
        if min(alpha, beta) < 0 or alpha + beta == 0:
            raise ValueError(f'alpha={alpha}, beta={beta}: both are weights, at least one of them above 0.')
        self.alpha, self.beta, self.smooth = alpha, beta, smooth

    def measure(self, logits: Tensor, labels: Tensor, weights: Tensor, ignore_index: int) -> Tensor:
        chances, truth = counted(logits, labels, ignore_index)  # (P, C)
        weights = weights.float()
        hits = weights @ (chances * truth)
        extra, missed = weights @ chances - hits, weights @ truth - hits
        index = (hits + self.smooth) / (hits + self.alpha * extra + self.beta * missed + self.smooth)
        occurs = truth.any(0)
        return ((1 - index)[occurs] if occurs.any() else 0 * (1 - index)).mean()


@MODELS.register_module()
class DiceLoss(TverskyLoss):
    """One minus the Dice coefficient of each class that occurs, averaged: `TverskyLoss` with weights of a half."""

    def __init__(self, *, smooth: float = 1.0, loss_weight: float = 1.0, loss_name: str = 'loss_dice'):
        super().__init__(alpha=0.5, beta=0.5, smooth=smooth, loss_weight=loss_weight, loss_name=loss_name)


@MODELS.register_module()
class FocalLoss(PixelLoss):
    """Cross entropy of each pixel times (1 - p) ** gamma, p the probability of its class, averaged ("Focal Loss for
    Dense Object Detection", https://arxiv.org/abs/1708.02002; there for one logit, here for a softmax too).

    Args:
        gamma: 0 gives the cross entropy; not negative.
        loss_weight, loss_name: as in `TverskyLoss`.
    """

    def __init__(self, *, gamma: float = 2.0, loss_weight: float = 1.0, loss_name: str = 'loss_focal'):
        super().__init__(loss_weight, loss_name)
        if gamma < 0:
            raise ValueError(f'gamma={gamma}: pixels that are right would count more than wrong ones.')
        self.gamma = gamma

    def measure(self, logits: Tensor, labels: Tensor, weights: Tensor, ignore_index: int) -> Tensor:
        losses = pixel_losses(logits, labels, ignore_index)  # (P,)
        return weighted_mean((1 - torch.exp(-losses)) ** self.gamma * losses, weights)


@MODELS.register_module()
class HardPixelLoss(PixelLoss):
    """Cross entropy of hard pixels alone: those whose class has a probability below a threshold, or at least a share.

    Online hard example mining, "Training Region-based Object Detectors with Online Hard Example Mining",
    https://arxiv.org/abs/1604.03540, on pixels.

    Args:
        threshold: probability of the right class below which a pixel is hard.
        least: share of the pixels, the hardest, that is taken in any case, above 0.
        loss_weight, loss_name: as in `TverskyLoss`.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.7,
        least: float = 0.1,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_hard_pixels',
    ):
        super().__init__(loss_weight, loss_name)
        if not 0 < least <= 1:
            raise ValueError(f'least={least}: a share of the pixels is above 0 and at most 1.')
        self.threshold, self.least = threshold, least

    def measure(self, logits: Tensor, labels: Tensor, weights: Tensor, ignore_index: int) -> Tensor:
        losses = pixel_losses(logits, labels, ignore_index)  # (P,)
        least = max(int(self.least * losses.numel()), 1)
        hard = torch.exp(-losses) < self.threshold
        chosen = hard if hard.sum() > least else losses.topk(least).indices
        return weighted_mean(losses[chosen], weights[chosen])


@MODELS.register_module()
class SmoothCrossEntropy(PixelLoss):
    """Cross-entropy with smoothed labels, the mean over labelled pixels.

    Args:
        smoothing: the share of the label that all classes have in equal parts.
        loss_weight, loss_name: as in `TverskyLoss`.
    """

    def __init__(self, smoothing: float = 0.05, loss_weight: float = 1.0, loss_name: str = 'loss_ce'):
        super().__init__(loss_weight, loss_name)
        self.smoothing = smoothing

    def measure(self, logits: Tensor, labels: Tensor, weights: Tensor, ignore_index: int) -> Tensor:
        losses = F.cross_entropy(
            logits, labels, ignore_index=ignore_index, label_smoothing=self.smoothing, reduction='none'
        )
        return weighted_mean(losses[labels != ignore_index], weights)


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """(P,), (P,) -> a number."""
    return (losses * weights).sum() / weights.sum()


def pixel_losses(logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """The cross entropy of each pixel that counts, (P,)."""
    counts = labels != ignore_index
    if logits.shape[1] == 1:
        truth = (labels == 1)[counts].to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits[:, 0][counts], truth, reduction='none')
    return F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction='none')[counts]


def counted(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """(probabilities, one-hot labels), (P, C) each, of the pixels that count."""
    counts = labels != ignore_index
    scores = logits.float().movedim(1, -1)[counts]  # (P, C)
    truth = labels[counts]
    if scores.shape[1] == 1:
        return scores.sigmoid(), (truth == 1).float().unsqueeze(1)
    return scores.softmax(1), F.one_hot(truth, scores.shape[1]).float()
