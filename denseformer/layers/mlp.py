"""Position-wise networks."""

from collections.abc import Callable

from torch import Tensor, nn

from denseformer.layers.conv import DepthwiseConv
from denseformer.layers.linear import Linear


class Mlp(nn.Module):
    """Linear, activation, Linear on the last axis: (..., C) -> (..., C)."""

    def __init__(self, dim: int, hidden: int, act: Callable[[], nn.Module] = nn.GELU):
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.act = act()
        self.fc2 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(x, self.act))


class ConvMlp(nn.Module):
    """An MLP with a 3 x 3 depth-wise convolution on its hidden map: (B, H, W, C) -> the same.

    The convolution stands before GELU, as in PVT v2; `residual` puts it behind, added to what it is applied to.
    """

    def __init__(self, dim: int, hidden: int, residual: bool = False):
        super().__init__()
        self.residual = residual
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        if self.residual:
            x = self.act(x)
            return self.fc2(x + self.dwconv(x))
        return self.fc2(self.act(self.dwconv(x)))
