"""CrossFormer and CrossFormer++: cross-scale attention.

Papers: "CrossFormer: A Versatile Vision Transformer Hinging on Cross-scale Attention",
https://arxiv.org/abs/2108.00154, and "CrossFormer++", https://arxiv.org/abs/2303.06908.
Official code: https://github.com/cheerss/CrossFormer (MIT).

Tokens are embedded by kernels of several sizes side by side. Blocks attend in turn among neighbors (short distance)
and among tokens `interval` apart (long distance); where a side of the map is no longer than a group's, both attend to
the whole map. Position biases come from a small network, so any group size loads any checkpoint. The ++ variants have a
"cooling" convolution after every third block. The maps are returned without a norm, as in the authors' dense code.

The authors' code takes sides that are multiples of 32; here the image is zero-padded on the right and at the bottom to
a multiple of 4, and odd maps to even ones before merging. Their blocks, once shown a small map, stay short-distance
for all later inputs; here each input decides for itself.

Legend: B batch, H W map, C channels, h heads, N tokens of a group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.dilated_windows import dilated_window_attention
from denseformer.attention.windows import Size
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, drop, rename, stages_from, strip_classifier
from denseformer.layers import (
    DepthwiseConv,
    DynamicPositionBias,
    Linear,
    Mlp,
    PreNormBlock,
    drop_path_rates,
    pad_image_to_multiple,
)
from denseformer.network import Source
from denseformer.registry import MODELS


class CrossScaleConv(nn.ModuleList):
    """Convolutions side by side, their stride the first's kernel: (B, C, H, W) -> (B, dim, H/stride, W/stride).

    Each kernel takes half of the channels that are left, the last one all of them. The map is zero-padded on the right
    and at the bottom to a multiple of the stride.
    """

    def __init__(self, in_channels: int, dim: int, kernels: Sequence[int]):
        self.stride = kernels[0]
        widths = [dim >> i for i in range(1, len(kernels))]
        widths.append(dim - sum(widths))
        super().__init__(
            nn.Conv2d(in_channels, width, kernel, self.stride, (kernel - self.stride) // 2)
            for width, kernel in zip(widths, kernels, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = pad_image_to_multiple(x, self.stride)
        return torch.cat([conv(x) for conv in self], dim=1)


class CrossScaleEmbed(nn.Module):
    """(B, in_channels, H, W) -> (B, H/4, W/4, dim), rounded up."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.projs = CrossScaleConv(in_channels, dim, (4, 8, 16, 32))
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(self.projs(image).permute(0, 2, 3, 1))  # (B, H/4, W/4, C)


class CrossScaleMerging(nn.Module):
    """(B, H, W, dim) -> (B, H/2, W/2, out_dim), rounded up."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.projs = CrossScaleConv(dim, out_dim, (2, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.projs(self.norm(x).permute(0, 3, 1, 2))  # (B, C, H/2, W/2)
        return x.permute(0, 2, 3, 1)  # (B, H/2, W/2, C)


class GroupAttention(nn.Module):
    """Attention among groups of group_size x group_size tokens that lie `interval` apart: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, *, group_size: int, interval: int):
        super().__init__()
        self.heads, self.group_size, self.interval = heads, group_size, interval
        self.pos = DynamicPositionBias(dim // 16, heads)
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        group, interval = self.groups_of((x.shape[1], x.shape[2]))
        return self.proj(
            dilated_window_attention(self.qkv(x), self.heads, group=group, dilation=interval, bias=self.pos(group))
        )

    def groups_of(self, size: Size) -> tuple[Size, Size]:
        """Sides and intervals of the groups of a map of this size."""
        if min(size) <= self.group_size:
            return size, (1, 1)
        return (self.group_size, self.group_size), (self.interval, self.interval)


class Cooling(nn.Module):
    """A depth-wise convolution and LayerNorm without a residual, which keeps amplitudes from growing with depth."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv = DepthwiseConv(dim, 3)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Block(PreNormBlock):
    """Group attention and an MLP, then cooling if asked: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, *, group_size: int, interval: int, cooling: bool, drop_path: float):
        attn = GroupAttention(dim, heads, group_size=group_size, interval=interval)
        super().__init__(dim, attn, Mlp(dim, 4 * dim), drop_path=drop_path)
        self.cooling = Cooling(dim) if cooling else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.cooling(super().forward(x))


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """cooling: CrossFormer++'s extra convolutions."""

    heads: tuple[int, ...]
    cooling: bool = False


@MODELS.register_module()
class CrossFormer(Backbone):
    """CrossFormer, and CrossFormer++ as the variants `pp_*`.

    Args:
        group_sizes: side of a group, in tokens, per stage. The default is that of CrossFormer's ImageNet models and of
            all published dense models but one; CrossFormer++ was pre-trained with (4, 4, 14, 7).
        intervals: distance between the tokens of a long-distance group per stage; CrossFormer++ was pre-trained with
            (4, 2, 1, 1). Semantic FPN on CrossFormer-L has groups of (14, 14, 7, 7), (16, 8, 2, 1) apart.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='CrossFormer: A Versatile Vision Transformer Hinging on Cross-scale Attention, '
        'https://arxiv.org/abs/2108.00154',
        code='https://github.com/cheerss/CrossFormer',
        license='MIT',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        group_sizes: Sequence[int] = (7, 7, 7, 7),
        intervals: Sequence[int] = (8, 4, 2, 1),
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        stages = len(self.arch.depths)
        if len(group_sizes) != stages or len(intervals) != stages:
            raise ValueError(f'group_sizes and intervals need {stages} entries each; got {group_sizes}, {intervals}.')
        self.assemble(
            patch_embed=CrossScaleEmbed(self.in_channels, self.arch.width),
            stages=self._stages(group_sizes, intervals, drop_path_rate),
        )

    def _stages(self, group_sizes: Sequence[int], intervals: Sequence[int], drop_path_rate: float) -> list[Stage]:
        arch = self.arch
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, arch.depths)):
            width, depth = arch.widths[i], arch.depths[i]
            blocks = [
                Block(
                    width,
                    arch.heads[i],
                    group_size=group_sizes[i],
                    interval=intervals[i] if j % 2 else 1,
                    cooling=arch.cooling and j % 3 == 2 and j < depth - 1,
                    drop_path=rates[j],
                )
                for j in range(depth)
            ]
            stages.append(Stage(blocks, CrossScaleMerging(arch.widths[i - 1], width) if i else None))
        return stages

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'CrossFormer') -> StateDict:
        """From `layers.i`, where merging closes the stage before; the position network's parts are renumbered.

        ImageNet checkpoints also hold the offsets it is given, which are constants.
        """
        return rename(
            drop(strip_classifier(state_dict, official=r'^layers\.'), r'\.attn\.(biases|relative_position_index)$'),
            *stages_from('layers'),
            (r'\.reductions\.', '.projs.'),
            (r'\.ex_conv\.', '.cooling.conv.'),
            (r'\.ex_ln\.', '.cooling.norm.'),
            (r'\.pos\.pos_proj\.', '.pos.0.'),
            (r'\.pos\.pos(\d)\.(\d)\.', lambda match: f'.pos.{3 * int(match[1]) - 2 + int(match[2])}.'),
        )


CrossFormer.archs = {
    'tiny': Arch(width=64, depths=(1, 1, 8, 6), heads=(2, 4, 8, 16)),
    'small': Arch(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24)),
    'base': Arch(width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24)),
    'large': Arch(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32)),
    'pp_small': Arch(width=64, depths=(2, 2, 18, 2), heads=(2, 4, 8, 16), cooling=True),
    'pp_base': Arch(width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24), cooling=True),
    'pp_large': Arch(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), cooling=True),
    'pp_huge': Arch(width=128, depths=(6, 6, 18, 2), heads=(4, 8, 16, 32), cooling=True),
}
