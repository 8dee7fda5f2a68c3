"""Convolutions around attention: on channel-last maps, and stacks of them with BatchNorm that replace patches."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer import kernels
from denseformer.attention.dilated_windows import dilated_partition, dilated_reverse
from denseformer.layers.channel_first import ConvEmbed, to_channels_last
from denseformer.layers.padding import pad_to_multiple


class DepthwiseConv2d(nn.Conv2d):
    """A depth-wise convolution that keeps the size of a channel-first map: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, kernel_size: int = 3, bias: bool = True):
        super().__init__(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if kernels.depthwise.applies(x, self.weight):
            return kernels.depthwise.depthwise_conv(x, self.weight, self.bias)
        return super().forward(x)


class DepthwiseConv(DepthwiseConv2d):
    """A depth-wise convolution of a channel-last map: (B, H, W, C) -> (B, H, W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H, W, C)


class DilatedDepthwiseConv(nn.Conv2d):
    """A dilated depth-wise convolution that keeps the size of a map: (B, C, H, W) -> the same.

    On the CPU the d x d sub-maps of positions that lie d apart are convolved without dilation, as one larger batch:
    the same sums, several times faster.
    """

    def __init__(self, dim: int, kernel_size: int, dilation: int):
        padding = kernel_size // 2 * dilation
        super().__init__(dim, dim, kernel_size, padding=padding, dilation=dilation, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != 'cpu':
            return super().forward(x)
        H, W = x.shape[2:]
        d = self.dilation[0]
        x = pad_to_multiple(x.permute(0, 2, 3, 1), d)  # (B, H', W', C)
        B, Hp, Wp, C = x.shape
        sub_map = Hp // d, Wp // d
        x = dilated_partition(x, sub_map, (d, d)).reshape(-1, *sub_map, C).permute(0, 3, 1, 2)  # (B*d*d, C, ..)
        x = F.conv2d(x, self.weight, self.bias, padding=self.kernel_size[0] // 2, groups=C)
        x = x.permute(0, 2, 3, 1).reshape(B, -1, sub_map[0] * sub_map[1], C)
        x = dilated_reverse(x, sub_map, (d, d), (Hp, Wp))  # (B, H', W', C)
        return x.permute(0, 3, 1, 2)[:, :, :H, :W]


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

    def __init__(self, dim: int, out_dim: int, act: Callable[[], nn.Module] = nn.Identity, bias: bool = True):
        super().__init__()
        self.reduction = nn.Conv2d(dim, out_dim, 3, 2, 1, bias=bias)
        self.norm = nn.BatchNorm2d(out_dim)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.reduction(x.permute(0, 3, 1, 2))))  # (B, C, H, W)
        return x.permute(0, 2, 3, 1)  # (B, H, W, C)


class ConvNorm(nn.Module):
    """A convolution that keeps the size up to its stride, then a normalisation, then `act`.

    zero_init: the gains of the normalisation start at 0, so that a residual branch ends in nothing at first.
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
        bias: bool = False,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
        act: Callable[[], nn.Module] = nn.Identity,
        zero_init: bool = False,
    ):
        super().__init__()
        if stride == 1 and dim == out_dim == groups:
            self.conv: nn.Conv2d = DepthwiseConv2d(dim, kernel_size, bias=bias)
        else:
            self.conv = nn.Conv2d(dim, out_dim, kernel_size, stride, kernel_size // 2, groups=groups, bias=bias)
        self.norm = norm(out_dim)
        self.act = act()
        if zero_init:
            nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that convolution and BatchNorm amount to in eval mode."""
        return folded(self.conv, cast(nn.BatchNorm2d, self.norm))


class TwinConv(nn.Module):
    """A large and a small depth-wise convolution, each with BatchNorm, summed; in eval mode they are applied as one.

    identity: add the input, too (then out_dim is dim and stride 1).
    Shape: (B, C, H, W) -> (B, out_dim, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, dim: int, out_dim: int, stride: int = 1, *, large: int = 7, small: int = 3, identity: bool = False
    ):
        super().__init__()
        self.identity = identity
        self.large = ConvNorm(dim, out_dim, large, stride, groups=dim)
        self.small = ConvNorm(dim, out_dim, small, stride, groups=dim)
        self.merged: nn.Conv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.merged is not None:
            return self.merged(x)
        if self.training:
            out = self.large(x) + self.small(x)
            return out + x if self.identity else out
        conv = self.large.conv
        return F.conv2d(x, *self.folded(), conv.stride, conv.padding, groups=conv.groups)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that all branches amount to in eval mode."""
        (weight, bias), (small_weight, small_bias) = self.large.folded(), self.small.folded()
        weight = weight + centered(small_weight, weight.shape[-1])
        if self.identity:
            weight = weight + centered(torch.ones_like(weight[..., :1, :1]), weight.shape[-1])
        return weight, bias + small_bias

    def merge(self) -> None:
        """Keep that one convolution in place of the branches."""
        if self.merged is None:
            self.merged = self.large.conv
            set_weights(self.merged, *self.folded())
            del self.large, self.small


def centered(kernel: Tensor, size: int) -> Tensor:
    """A kernel (O, I, k, k) amid zeros: (O, I, size, size)."""
    return F.pad(kernel, ((size - kernel.shape[-1]) // 2,) * 4)


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that `conv`, then `norm` in eval mode, amount to."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    gain = norm.weight / (variance + norm.eps).sqrt()
    mean = mean if conv.bias is None else mean - conv.bias
    return conv.weight * gain[:, None, None, None], norm.bias - mean * gain


def set_weights(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    conv.weight, conv.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())


def fuse_conv_norm(network: nn.Module) -> nn.Module:
    """Let every convolution do what the BatchNorm behind it does in eval mode, in place; for prediction and export.

    Weights must be loaded before: what is left has other keys. Outputs in eval mode stay the same up to rounding.
    BatchNorm stays where it does not directly follow a convolution, and where a module calls the two by other names
    than `ConvNorm`, `ConvEmbed` or an `nn.Sequential` do.
    """
    if isinstance(network, TwinConv):
        network.merge()
    elif isinstance(network, ConvNorm):
        fuse_pair(network, 'conv', 'norm')
    elif isinstance(network, ConvEmbed):
        fuse_pair(network, 'proj', 'norm')
    elif isinstance(network, nn.Sequential):
        for first, second in pairwise(network._modules):
            fuse_pair(network, first, second)
    for child in network.children():
        fuse_conv_norm(child)
    return network


def fuse_pair(module: nn.Module, first: str, second: str) -> None:
    """Fuse two layers of `module` if they are a convolution and a BatchNorm."""
    conv, norm = module._modules[first], module._modules[second]
    if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
        set_weights(conv, *folded(conv, norm))
        module._modules[second] = nn.Identity()


class ConvNormStem(nn.Sequential):
    """3 x 3 stride-2 convolutions with BatchNorm, `act` between them: (B, C, H, W) -> (B, widths[-1], H', W').

    A side of length L becomes ceil(L / 2 ** len(widths)).
    """

    def __init__(self, in_channels: int, widths: Sequence[int], act: Callable[[], nn.Module] = nn.ReLU):
        acts = [act] * (len(widths) - 1) + [nn.Identity]
        pairs = zip((in_channels, *widths[:-1]), widths, acts, strict=True)
        super().__init__(*(ConvNorm(into, out, 3, 2, act=act) for into, out, act in pairs))

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(to_channels_last(image))


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
