"""Parts that several restoration networks share: convolutions on channel-last maps, an MLP, ways to enlarge a map.

Legend: B batch, H W map, C channels, s scale.
"""

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.layers import Linear


def convolve(conv: nn.Module, x: Tensor) -> Tensor:
    """A channel-first module applied to a channel-last map: (B, H, W, C) -> (B, H', W', C')."""
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H', W', C')


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def residual_conv(dim: int, kind: str) -> nn.Module:
    """The end of a residual group: '1conv', one 3 x 3 convolution, or '3conv', a bottleneck of a quarter the width."""
    if kind == '1conv':
        return conv3x3(dim, dim)
    hidden = dim // 4
    activation = nn.LeakyReLU(0.2, inplace=True)
    return nn.Sequential(
        conv3x3(dim, hidden), activation, nn.Conv2d(hidden, hidden, 1), activation, conv3x3(hidden, dim)
    )


class ResidualConvMlp(nn.Module):
    """An MLP whose hidden map is added to an activated convolution of it: (B, H, W, C) -> the same.

    conv: makes the depth-wise convolution of the hidden channels.
    """

    def __init__(self, dim: int, hidden: int, conv: Callable[[int], nn.Module]):
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.act = nn.GELU()
        self.dwconv = conv(hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.fc1(x))
        return self.fc2(x + self.act(self.dwconv(x)))


def shuffle_factors(scale: int) -> list[int]:
    """3 -> [3]; a power of two -> as many twos: how pixel shuffling is divided into steps."""
    factors = [scale] if scale == 3 else [2] * (scale.bit_length() - 1)
    if math.prod(factors) != scale:
        raise ValueError(f'An image is enlarged 3 or a power of 2 times, not {scale} times.')
    return factors


class ShuffleUpsampler(nn.Module):
    """Convolutions to more channels, each followed by pixel shuffling: (B, dim, H, W) -> (B, C, sH, sW)."""

    def __init__(self, dim: int, out_channels: int, scale: int, width: int = 64):
        super().__init__()
        self.factors = shuffle_factors(scale)
        self.conv_before = conv3x3(dim, width)
        self.convs = nn.ModuleList(conv3x3(width, factor**2 * width) for factor in self.factors)
        self.conv_last = conv3x3(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv_before(x), 0.01)
        for conv, factor in zip(self.convs, self.factors, strict=True):
            x = F.pixel_shuffle(conv(x), factor)
        return self.conv_last(x)


class DirectUpsampler(nn.Module):
    """One convolution and one pixel shuffling: (B, dim, H, W) -> (B, C, sH, sW)."""

    def __init__(self, dim: int, out_channels: int, scale: int):
        super().__init__()
        self.scale = scale
        self.convs = nn.ModuleList([conv3x3(dim, scale**2 * out_channels)])

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.convs[0](x), self.scale)


class NearestUpsampler(nn.Module):
    """Pixels doubled, then convolved, once or twice: (B, dim, H, W) -> (B, C, sH, sW); for images from the wild."""

    def __init__(self, dim: int, out_channels: int, scale: int, width: int = 64):
        super().__init__()
        if scale not in (2, 4):
            raise ValueError(f'Doubling pixels enlarges an image 2 or 4 times, not {scale} times.')
        self.conv_before = conv3x3(dim, width)
        self.convs = nn.ModuleList(conv3x3(width, width) for _ in shuffle_factors(scale))
        self.conv_hr = conv3x3(width, width)
        self.conv_last = conv3x3(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv_before(x), 0.01)
        for conv in self.convs:
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2.0, mode='nearest')), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))


class NoUpsampler(nn.Module):
    """One convolution to the image's channels: (B, dim, H, W) -> (B, C, H, W)."""

    def __init__(self, dim: int, out_channels: int):
        super().__init__()
        self.conv_last = conv3x3(dim, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_last(x)
