"""Losses that compare a restored image with its target, pixel by pixel or frequency by frequency.

Each takes both images, (B, C, H, W), floating in [0, 1], and returns a scalar: its mean times `weight`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.registry import MODELS


@MODELS.register_module()
class L1Loss(nn.Module):
    """Mean absolute difference."""

    def __init__(self, *, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        return self.weight * F.l1_loss(restored, target)


@MODELS.register_module()
class MSELoss(nn.Module):
    """Mean squared difference."""

    def __init__(self, *, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        return self.weight * F.mse_loss(restored, target)


@MODELS.register_module()
class CharbonnierLoss(nn.Module):
    """Mean of sqrt(d**2 + eps): an absolute difference that is smooth at zero.

    Args:
        eps: added below the root; SwinIR's denoising uses 1e-9.
        weight: what the loss is multiplied by.
    """

    def __init__(self, *, eps: float = 1e-9, weight: float = 1.0):
        super().__init__()
        self.eps, self.weight = eps, weight

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        return self.weight * ((restored - target).square() + self.eps).sqrt().mean()


@MODELS.register_module()
class FrequencyLoss(nn.Module):
    """Mean absolute difference of the real and the imaginary parts of both images' 2-D spectra.

    Args:
        norm: scaling of the spectra; 'ortho' makes the loss independent of the size, 'backward' sums over the pixels.
        weight: what the loss is multiplied by.
    """

    def __init__(self, *, norm: str = 'ortho', weight: float = 1.0):
        super().__init__()
        self.norm, self.weight = norm, weight

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        difference = torch.fft.fft2((restored - target).float(), norm=self.norm)
        return self.weight * torch.view_as_real(difference).abs().mean()
