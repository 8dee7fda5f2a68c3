"""Linear layers, and those that stand for convolutions.

Networks take `Linear` from here wherever they would take `nn.Linear`, so that one place decides how it is computed.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from denseformer import kernels


class Linear(nn.Linear):
    """x W^T + b on the last axis: (..., C) -> (..., K)."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight  # read once: it may be parametrized
        if kernels.linear.applies(x, weight):
            return kernels.linear.linear(x, weight, self.bias)
        return F.linear(x, weight, self.bias)


class Pointwise(Linear):
    """A 1 x 1 convolution on a channel-last map, and one to the rules of initial weights: (..., C) -> (..., C')."""
