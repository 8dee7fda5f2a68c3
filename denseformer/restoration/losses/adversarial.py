"""The loss of training against a discriminator, of both sides."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.registry import MODELS


@MODELS.register_module()
class GANLoss(nn.Module):
    """The loss of a discriminator's verdicts, of any shape; a scalar.

    Args:
        kind: 'vanilla', binary cross-entropy; 'lsgan', squared distance from 0 and 1; 'hinge'.
        weight: factor of the generator's loss; the discriminator's has none.
    """

    def __init__(self, *, kind: str = 'vanilla', weight: float = 0.1):
        super().__init__()
        if kind not in ('vanilla', 'lsgan', 'hinge'):
            raise ValueError(f"kind is 'vanilla', 'lsgan' or 'hinge', not '{kind}'.")
        self.kind, self.weight = kind, weight

    def forward(self, verdict: Tensor) -> Tensor:
        """The generator's loss for verdicts on its images."""
        return self.weight * (-verdict.mean() if self.kind == 'hinge' else self.distance(verdict, real=True))

    def discriminate(self, verdict: Tensor, *, real: bool) -> Tensor:
        """The discriminator's loss for verdicts on images that are `real`, or that are not."""
        if self.kind == 'hinge':
            return F.relu(1 - verdict if real else 1 + verdict).mean()
        return self.distance(verdict, real=real)

    def distance(self, verdict: Tensor, *, real: bool) -> Tensor:
        wanted = torch.full_like(verdict, float(real))
        return (
            F.binary_cross_entropy_with_logits(verdict, wanted)
            if self.kind == 'vanilla'
            else F.mse_loss(verdict, wanted)
        )
