"""Convolutions around attention: on channel-last maps, and stacks of them with BatchNorm that replace patches."""

from collections.abc import Callable, Sequence
from typing import cast

from torch import Tensor, nn

from denseformer import kernels
from denseformer.layers.channel_first import to_channels_last


class DepthwiseConv2d(nn.Conv2d):
    """A depth-wise convolution that keeps the size of a channel-first map: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, kernel_size: int = 3, bias: bool = True):
        super().__init__(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if kernels.depthwise.applies(x, self.weight):
            return kernels.depthwise.depthwise_conv(x, self.weight, self.bias)
        return super().forward(x)


class DepthwiseConv(DepthwiseConv2d):
    """The same of a channel-last map: (B, H, W, C) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H, W, C)


class ConvStem(nn.Module):
    """3 x 3 convolutions with BatchNorm to channel-last tokens: (B, C, H, W) -> (B, H', W', widths[-1]).

    order: what follows each convolution, 'na' (BatchNorm, activation) or 'an'; unless `complete`, only the first of the
    two follows the last one. A side of length L becomes ceil(L / stride).
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        strides: Sequence[int],
        *,
        act: Callable[[], nn.Module] = nn.GELU,
        order: str = 'na',
        complete: bool = False,
    ):
        super().__init__()
        layers = []
        for into, out, stride in zip((in_channels, *widths), widths, strides, strict=False):
            after = {'n': nn.BatchNorm2d(out), 'a': act()}
            layers += [nn.Conv2d(into, out, 3, stride, 1), *(after[letter] for letter in order)]
        self.proj = nn.Sequential(*(layers if complete else layers[:-1]))

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(to_channels_last(image)).permute(0, 2, 3, 1)  # (B, H', W', C)


class ConvBatchNormDownsample(nn.Module):
    """3 x 3 stride-2 convolution, BatchNorm, then `act`: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), out_dim)."""

    def __init__(self, dim: int, out_dim: int, act: Callable[[], nn.Module] = nn.Identity):
        super().__init__()
        self.reduction = nn.Conv2d(dim, out_dim, 3, 2, 1)
        self.norm = nn.BatchNorm2d(out_dim)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.reduction(x.permute(0, 3, 1, 2))))  # (B, C, H, W)
        return x.permute(0, 2, 3, 1)  # (B, H, W, C)


class ConvNorm(nn.Module):
    """A convolution without bias that keeps the size up to its stride, then a normalisation, then `act`.

    Shape: (B, C, H, W) -> (B, out_dim, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        dim: int,
        out_dim: int,
        kernel_size: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
        act: Callable[[], nn.Module] = nn.Identity,
    ):
        super().__init__()
        if stride == 1 and dim == out_dim == groups:
            self.conv: nn.Conv2d = DepthwiseConv2d(dim, kernel_size, bias=False)
        else:
            self.conv = nn.Conv2d(dim, out_dim, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
        self.norm = norm(out_dim)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that convolution and BatchNorm amount to in eval mode."""
        norm = cast(nn.BatchNorm2d, self.norm)
        mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        gain = norm.weight / (variance + norm.eps).sqrt()
        return self.conv.weight * gain[:, None, None, None], norm.bias - mean * gain


class BottleneckDownsample(nn.Module):
    """1 x 1, strided depth-wise 3 x 3 and 1 x 1 convolutions: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), out_dim)."""

    def __init__(self, dim: int, out_dim: int, norm: Callable[[int], nn.Module] = nn.BatchNorm2d):
        super().__init__()
        self.conv1 = ConvNorm(dim, out_dim, norm=norm, act=nn.GELU)
        self.conv2 = ConvNorm(out_dim, out_dim, 3, 2, groups=out_dim, norm=norm, act=nn.GELU)
        self.conv3 = ConvNorm(out_dim, out_dim, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3(self.conv2(self.conv1(x.permute(0, 3, 1, 2))))  # (B, out_dim, H/2, W/2)
        return x.permute(0, 2, 3, 1)  # (B, H/2, W/2, out_dim)
