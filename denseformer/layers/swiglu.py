"""SwiGLU: "GLU Variants Improve Transformer", https://arxiv.org/abs/2002.05202."""

import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.layers.linear import Linear


class SwiGLU(nn.Module):
    """An MLP whose hidden channels are gated: (..., C) -> (..., C).

    fc1 makes the gates, which pass through SiLU, and then as many values.
    """

    def __init__(self, dim: int, hidden: int, *, bias: bool = True):
        super().__init__()
        self.fc1 = Linear(dim, 2 * hidden, bias=bias)
        self.fc2 = Linear(hidden, dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gates, values = self.fc1(x).chunk(2, -1)
        return self.fc2(F.silu(gates) * values)
