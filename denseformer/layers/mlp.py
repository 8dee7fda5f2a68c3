"""MLPs: two linear layers at each position of a map, with an activation, and perhaps a convolution, between them."""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from denseformer import kernels
from denseformer.layers.conv import ConvNorm, DepthwiseConv
from denseformer.layers.linear import Linear, Pointwise


class Mlp(nn.Module):
    """Linear, activation, Linear on the last axis: (..., C) -> (..., C)."""

    linear: ClassVar[type[Linear]] = Linear

    def __init__(self, dim: int, hidden: int, act: Callable[[], nn.Module] = nn.GELU):
        super().__init__()
        self.fc1 = self.linear(dim, hidden)
        self.act = act()
        self.fc2 = self.linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        if kernels.mlp.applies(x, self.fc1, self.act, self.fc2, self.linear):
            return kernels.mlp.gelu_mlp(x, self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)
        return self.fc2(self.act(self.fc1(x)))


class ConvMlp(nn.Module):
    """An MLP with a 3 x 3 depth-wise convolution on its hidden map: (B, H, W, C) -> the same.

    The convolution stands before GELU, as in PVT v2; `residual` puts it behind, added to what it is applied to.
    """

    linear: ClassVar[type[Linear]] = Linear

    def __init__(self, dim: int, hidden: int, residual: bool = False):
        super().__init__()
        self.residual = residual
        self.fc1 = self.linear(dim, hidden)
        self.act = nn.GELU()
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = self.linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        if self.residual:
            x = self.act(x)
            return self.fc2(x + self.dwconv(x))
        x = self.dwconv(x)
        if kernels.mlp.applies_behind(x, self.act, self.fc2, self.linear):
            return kernels.mlp.gelu_linear(x, self.fc2.weight, self.fc2.bias)
        return self.fc2(self.act(x))


class ChannelFirst(nn.Module):
    """Mixed in before an MLP: it takes channel-first maps, and its layers stand for 1 x 1 convolutions."""

    linear = Pointwise

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Mlp2d(ChannelFirst, Mlp):
    """`Mlp` at each position of a channel-first map: (B, C, H, W) -> the same."""


class ConvMlp2d(ChannelFirst, ConvMlp):
    """`ConvMlp` of a channel-first map: (B, C, H, W) -> the same."""


class ConvNormMlp(nn.Module):
    """An MLP of two 1 x 1 convolutions with BatchNorm, the second starting at zero: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, hidden: int, act: Callable[[], nn.Module] = nn.ReLU):
        super().__init__()
        self.fc1 = ConvNorm(dim, hidden, act=act)
        self.fc2 = ConvNorm(hidden, dim, zero_init=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(x))
