"""LWGANet: quarters of the channels look at a point, its neighbors, its surroundings and the whole map.

Paper: "LWGANet: A Lightweight Group Attention Backbone for Remote Sensing Visual Tasks",
https://arxiv.org/abs/2501.10040.
Official code: https://github.com/AeroVILab-AHU/LWGANet (its LICENSE file is MIT, its README says CC BY-NC 4.0).

The four parts of a block are joined by an MLP whose normalization follows it, behind stochastic depth. Surroundings are
gathered on a map three times as coarse, by strips along rows, columns and both diagonals: a diagonal is a row or column
of a map sheared by one position per row. What looks at the whole map does so on the maxima of 2 x 2 positions, and its
answer goes back to where they lay.

The authors' code takes squares of a multiple of 32, from 96 pixels on. Here an image may have any size from 32 on: the
shear is by one position per row for any width, an odd row or column takes no part in the 2 x 2 maxima, and short sides
are reflected to and fro. A side of length L becomes L // 4, then ceil(side / 2). The largest variant has ReLU where
the others have GELU, as in its checkpoint. Heads of the attention are 4 channels wide.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, drop, rename, strip_classifier
from denseformer.layers import (
    ConvEmbed,
    ConvNorm,
    DepthwiseConv2d,
    DilatedDepthwiseConv,
    DropPath,
    Linear,
    drop_path_rates,
    reflect_margin,
)
from denseformer.layers.initializers import narrow
from denseformer.network import Source
from denseformer.registry import MODELS

Act = Callable[[], nn.Module]
HEAD_WIDTH = 4
COARSENING = 3
STRIP = 11


class NormedMlp(nn.Module):
    """1 x 1 convolution with BatchNorm, activation, 1 x 1 convolution, no biases: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, ratio: int, act: Act):
        super().__init__()
        self.fc1 = ConvNorm(dim, ratio * dim, act=act)
        self.fc2 = nn.Conv2d(ratio * dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(x))


class PointAttention(nn.Module):
    """Weighs each number of a map by what lies at its position: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, act: Act):
        super().__init__()
        self.mlp = NormedMlp(dim, 4, act)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mlp(x).sigmoid()


class StripAttention(nn.Module):
    """Weighs a map by strips of a coarser one, along rows, columns and diagonals: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.column = strip_conv(dim, (STRIP, 3))
        self.row = strip_conv(dim, (3, STRIP))
        self.sheared_column = strip_conv(dim, (STRIP, 3))
        self.sheared_row = strip_conv(dim, (3, STRIP))
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        coarse = blur_pool(F.max_pool2d(x, 3, 1, 1))
        straight = self.column(coarse) + self.row(coarse)
        by_row = unshear(self.sheared_column(shear(coarse)), coarse.shape[3])
        by_column = unshear(self.sheared_row(shear(coarse.mT).mT).mT, coarse.shape[2]).mT
        gate = self.norm(straight + by_row + by_column).sigmoid()
        return x * F.interpolate(gate, x.shape[2:], mode='nearest')


def strip_conv(dim: int, kernel: tuple[int, int]) -> nn.Conv2d:
    return nn.Conv2d(dim, dim, kernel, padding=(kernel[0] // 2, kernel[1] // 2), groups=dim, bias=False)


def shear(x: Tensor) -> Tensor:
    """Row i shifted to the right by i positions, 0 around: (B, C, H, W) -> (B, C, H, W + H - 1).

    Rows of width W + H, laid end to end and cut again one position earlier each.
    """
    H, W = x.shape[2:]
    return F.pad(x, (0, H)).flatten(2)[..., :-H].unflatten(2, (H, W + H - 1))


def unshear(x: Tensor, width: int) -> Tensor:
    """The inverse of `shear`: (B, C, H, W + H - 1) -> (B, C, H, W)."""
    H = x.shape[2]
    return F.pad(x.flatten(2), (0, H)).unflatten(2, (H, width + H))[..., :width]


def blur_pool(x: Tensor) -> Tensor:
    """Every third position of a map blurred by a 4 x 4 binomial: (B, C, H, W) -> (B, C, ceil(H/3), ceil(W/3)).

    "Making Convolutional Networks Shift-Invariant Again", https://arxiv.org/abs/1904.11486.
    """
    kernel = binomial(x.device, x.dtype).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(reflect_margin(x, 1, 2), kernel, stride=COARSENING, groups=x.shape[1])


@cached_constant(8)
def binomial(device: torch.device, dtype: torch.dtype) -> Tensor:
    """(4, 4), adding up to 1. Shared by all callers; do not write to it."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], device=device) / 8
    return (row[:, None] * row).to(dtype)


class LargeKernelSelection(nn.Module):
    """Weighs maxima by two large kernels, chosen between at each position: (B, C, H, W) -> the same, mostly 0."""

    def __init__(self, dim: int, act: Act):
        super().__init__()
        self.proj_in = nn.Conv2d(dim, dim, 1)
        self.act = act()
        self.near = DepthwiseConv2d(dim, 5)
        self.far = DilatedDepthwiseConv(dim, 7, dilation=3)
        self.near_proj = nn.Conv2d(dim, dim // 2, 1)
        self.far_proj = nn.Conv2d(dim, dim // 2, 1)
        self.select = nn.Conv2d(2, 2, 7, padding=3)
        self.widen = nn.Conv2d(dim // 2, dim, 1)
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled, places = F.max_pool2d(x, 2, return_indices=True)
        value = self.act(self.proj_in(pooled))
        near = self.near(value)
        near, far = self.near_proj(near), self.far_proj(self.far(near))  # (B, C/2, H/2, W/2)
        both = torch.cat((near, far), 1)
        summary = torch.cat((both.mean(1, keepdim=True), both.amax(1, keepdim=True)), 1)
        near_gate, far_gate = self.select(summary).sigmoid().chunk(2, 1)
        weight = self.widen(near * near_gate + far * far_gate)
        return unpool(self.proj_out(value * weight), places, x.shape[2:])


class PooledAttention(nn.Module):
    """Self-attention between maxima, normalized: (B, C, H, W) -> the same, mostly 0."""

    def __init__(self, dim: int):
        super().__init__()
        self.attn = WholeMapAttention(dim)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        pooled, places = F.max_pool2d(x, 2, return_indices=True)
        return unpool(self.norm(self.attn(pooled)), places, x.shape[2:])


def unpool(x: Tensor, places: Tensor, size: torch.Size) -> Tensor:
    """Put numbers (B, C, h, w) at the places (B, C, h, w), 0 .. H * W - 1, that maxima came from -> (B, C, H, W)."""
    out = x.new_zeros(*x.shape[:2], size[0] * size[1])
    return out.scatter(2, places.flatten(2), x.flatten(2)).unflatten(2, size)


class WholeMapAttention(nn.Module):
    """Softmax attention between all positions: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.heads = max(dim // HEAD_WIDTH, 1)
        self.qkv = Linear(dim, 3 * self.heads * HEAD_WIDTH, bias=False)
        self.proj = Linear(self.heads * HEAD_WIDTH, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        qkv = self.qkv(x.permute(0, 2, 3, 1)).flatten(1, 2).unflatten(2, (3, self.heads, HEAD_WIDTH))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, h, N, d)
        return self.proj(window_softmax_attention(q, k, v)).unflatten(1, (H, W)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Four attentions to a quarter of the channels each, then a residual MLP: (B, C, H, W) -> the same.

    stage: 0 .. 3, which decides how the whole map is looked at.
    """

    def __init__(self, dim: int, stage: int, act: Act, drop_path: float):
        super().__init__()
        part = dim // 4
        self.point = PointAttention(part, act)
        self.local = ConvNorm(part, part, 3, act=act)
        self.strip = StripAttention(part)
        self.whole = whole_map_attention(part, stage, act)
        self.whole_norm = nn.Identity() if stage == 2 else nn.BatchNorm2d(part)
        self.mlp = NormedMlp(dim, 2, act)
        self.norm2 = nn.BatchNorm2d(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        point, local, strip, whole = x.chunk(4, 1)
        mixed = (
            point + self.point(point),
            self.local(local),
            self.strip(strip),
            self.whole_norm(whole + self.whole(whole)),
        )
        return x + self.norm2(self.drop_path(self.mlp(torch.cat(mixed, 1))))


def whole_map_attention(dim: int, stage: int, act: Act) -> nn.Module:
    if stage < 2:
        return LargeKernelSelection(dim, act)
    return PooledAttention(dim) if stage == 2 else WholeMapAttention(dim)


class Downsample(nn.Module):
    """Twice as wide; convolved and pooled, side by side, then fused: (B, C, H, W) -> (B, 2C, ceil(H/2), ceil(W/2))."""

    def __init__(self, dim: int, act: Act):
        super().__init__()
        self.widen = nn.Conv2d(dim, 2 * dim, 3, padding=1, groups=dim)
        self.conv = nn.Conv2d(2 * dim, 2 * dim, 3, 2, 1, groups=2 * dim)
        self.act = act()
        self.conv_norm = nn.BatchNorm2d(2 * dim)
        self.pool_norm = nn.BatchNorm2d(2 * dim)
        self.fusion = nn.Conv2d(4 * dim, 2 * dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.widen(x)
        convolved = self.conv_norm(self.act(self.conv(x)))
        pooled = self.pool_norm(F.max_pool2d(x, 3, 2, 1))
        return self.fusion(torch.cat((convolved, pooled), 1))


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """act: 'gelu' or 'relu'."""

    act: str = 'gelu'


@MODELS.register_module()
class LWGANet(Backbone):
    """LWGANet."""

    source = Source(
        paper='LWGANet: A Lightweight Group Attention Backbone for Remote Sensing Visual Tasks, '
        'https://arxiv.org/abs/2501.10040',
        code='https://github.com/AeroVILab-AHU/LWGANet',
        license='MIT by its LICENSE file, CC BY-NC 4.0 by its README',
    )
    channels_last = False
    no_weight_decay = ()
    initial_weights = staticmethod(narrow)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'l0',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths, act = self.arch.widths, {'gelu': nn.GELU, 'relu': nn.ReLU}[self.arch.act]
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            blocks = [Block(widths[i], i, act, rate) for rate in rates]
            stages.append(Stage(blocks, Downsample(widths[i - 1], act) if i else None))
        self.assemble(
            patch_embed=ConvEmbed(
                self.in_channels, widths[0], kernel_size=4, stride=4, padding=0, bias=False, norm=nn.BatchNorm2d
            ),
            stages=stages,
            out_norms=[nn.BatchNorm2d(width) for width in widths],
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'LWGANet') -> StateDict:
        """From `stages.i`, where stages have even numbers and what leads to the next one odd ones."""
        state_dict = drop(state_dict, r'\.MRA\.max_m2\.filt$')
        theirs = r'(?=(mlp\.\d|PA|LA|MRA|GA\d+|norm1?)\.)'
        return rename(
            strip_classifier(state_dict, official=r'\.PA\.', classifier=(r'^avgpool_pre_head\.', r'^head\.')),
            (r'^Stem\.', 'patch_embed.'),
            (rf'^stages\.([0246])\.(blocks\.\d+)\.{theirs}', lambda match: f'stages.{int(match[1]) // 2}.{match[2]}.'),
            (r'^stages\.([135])\.conv\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.widen.'),
            (r'^stages\.([135])\.conv_c\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.conv.'),
            (r'^stages\.([135])\.norm_c\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.conv_norm.'),
            (r'^stages\.([135])\.norm_m\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.pool_norm.'),
            (r'^stages\.([135])\.fusion\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.fusion.'),
            (r'\.PA\.p_conv\.', '.point.mlp.'),
            (r'\.mlp\.0\.', '.mlp.fc1.conv.'),
            (r'\.mlp\.1\.', '.mlp.fc1.norm.'),
            (r'\.mlp\.3\.', '.mlp.fc2.'),
            (r'\.LA\.conv\.0\.', '.local.conv.'),
            (r'\.LA\.conv\.1\.', '.local.norm.'),
            (r'(\.blocks\.\d+)\.norm\.', r'\1.whole_norm.'),
            (r'(\.blocks\.\d+)\.norm1\.', r'\1.norm2.'),
            (r'\.MRA\.norm\.', '.strip.norm.'),
            (r'\.MRA\.(\w+)\.', lambda match: f'.strip.{STRIPS[match[1]]}.'),
            (r'\.GA12\.(\w+)\.', lambda match: f'.whole.{SELECTION[match[1]]}.'),
            (r'\.GA[34]\.', '.whole.'),
            (r'^norm([0246])\.', lambda match: f'out_norms.{int(match[1]) // 2}.'),
        )


STRIPS = {'H_att1': 'column', 'V_att1': 'row', 'H_att2': 'sheared_column', 'V_att2': 'sheared_row'}
SELECTION = {
    **{'proj_1': 'proj_in', 'conv0': 'near', 'conv_spatial': 'far', 'conv1': 'near_proj', 'conv2': 'far_proj'},
    **{'conv_squeeze': 'select', 'conv': 'widen', 'proj_2': 'proj_out'},
}

LWGANet.archs = {
    'l0': Arch(width=32, depths=(1, 2, 4, 2)),
    'l1': Arch(width=64, depths=(1, 2, 4, 2)),
    'l2': Arch(width=96, depths=(1, 4, 4, 2), act='relu'),
}
