"""ViTamin: two stages of inverted bottlenecks, then a vision transformer with gated MLPs, for vision-language models.

Paper: "ViTamin: Designing Scalable Vision Models in the Vision-Language Era", https://arxiv.org/abs/2404.02132.
Official code: https://github.com/Beckschen/ViTamin (Apache-2.0); its dense network is in vitamin_fvit.

The convolutional blocks have one LayerNorm, in front. The transformer works at stride 16; half of its blocks make the
third map, all of them the fourth. The MLPs have a norm of their own besides the block's. All convolutions pad, so a
side of length L becomes ceil(L / 2) five times at most.

Legend: B batch, H W map, C channels.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.backbones.plain.embedding import PositionTable, Size, square
from denseformer.checkpoints.keys import StateDict, drop, join, linear_from_pointwise, rename
from denseformer.layers import (
    DepthwiseConv2d,
    GlobalAttention,
    Linear,
    Pointwise,
    PreNormBlock,
    drop_path_rates,
    to_channels_last,
)
from denseformer.layers.initializers import fan_out
from denseformer.network import Source
from denseformer.registry import MODELS

PATCH = 16
EXPANSION = 4
norm = partial(nn.LayerNorm, eps=1e-6)


class Stem(nn.Module):
    """Two 3 x 3 convolutions, the first strided, LayerNorm and GELU between: (B, C, H, W) -> (B, H/2, W/2, dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, dim, 3, 2, 1)
        self.norm = norm(dim)
        self.act = nn.GELU()
        self.conv2 = nn.Conv2d(dim, dim, 3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv1(to_channels_last(image)).permute(0, 2, 3, 1)
        return self.conv2(self.act(self.norm(x)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Shortcut(nn.Module):
    """The mean of 3 x 3 neighbors, strided, and a linear layer if widths differ: (B, H, W, C) -> (B, H/2, W/2, C')."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.expand = nn.Identity() if dim == out_dim else Pointwise(dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1, count_include_pad=False)
        return self.expand(x.permute(0, 2, 3, 1))


class InvertedBottleneck(nn.Module):
    """LayerNorm, then a wide depth-wise convolution between linear layers: (B, H, W, C) -> (B, H/s, W/s, out_dim)."""

    def __init__(self, dim: int, out_dim: int, stride: int):
        super().__init__()
        hidden = EXPANSION * out_dim
        self.shortcut = Shortcut(dim, out_dim) if stride > 1 else nn.Identity()
        self.norm = norm(dim)
        self.fc1 = Pointwise(dim, hidden)
        self.act = nn.GELU()
        self.conv = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden) if stride > 1 else DepthwiseConv2d(hidden)
        self.fc2 = Pointwise(hidden, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        out = self.act(self.fc1(self.norm(x))).permute(0, 3, 1, 2)
        out = self.act(self.conv(out)).permute(0, 2, 3, 1)
        return self.fc2(out) + self.shortcut(x)


class PositionedDownsample(nn.Module):
    """LayerNorm, a strided 3 x 3 convolution, positions if any: (B, H, W, C) -> (B, H/2, W/2, out_dim)."""

    def __init__(self, dim: int, out_dim: int, positions: PositionTable | None):
        super().__init__()
        self.norm = norm(dim)
        self.reduction = nn.Conv2d(dim, out_dim, 3, 2, 1)
        self.positions = positions

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduction(self.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        if self.positions is None:
            return x
        size = x.shape[1], x.shape[2]
        return x + self.positions(size).unflatten(1, size)


class GeGLU(nn.Module):
    """LayerNorm, then an MLP whose hidden channels are gated through GELU: (..., C) -> (..., C).

    fc1 makes the gates, and then as many values.
    """

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.norm = norm(dim)
        self.fc1 = Linear(dim, 2 * hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        gates, values = self.fc1(self.norm(x)).chunk(2, -1)
        return self.fc2(F.gelu(gates) * values)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """conv_widths, depths: of the convolutional stages; width, heads, blocks: of the transformer.

    image_size: the side that positions are learned at, in pixels; 0 for a network without positions.
    """

    conv_widths: tuple[int, ...]
    width: int
    heads: int
    blocks: int
    depths: tuple[int, ...] = (2, 4)
    image_size: int = 224

    @property
    def widths(self) -> tuple[int, ...]:
        return *self.conv_widths, self.width, self.width, self.width


@MODELS.register_module()
class ViTamin(Backbone):
    """ViTamin. Its maps have strides 4, 8, 16, 16 and 16.

    The fifth map is what a classifier pools. The published networks norm nothing in front of that, so it is the fourth;
    a dense head takes `out_indices=(0, 1, 2, 3)`.

    Args:
        image_size: the side, or height and width, of the images that positions are learned at, in pixels; None for the
            variant's own. Those of checkpoints are resized to it, and to every image's size, bicubically and
            antialiased.
        drop_path_rate: stochastic depth of the transformer's blocks; the convolutional ones have none.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='ViTamin: Designing Scalable Vision Models in the Vision-Language Era, https://arxiv.org/abs/2404.02132',
        code='https://github.com/Beckschen/ViTamin',
        license='Apache-2.0',
    )
    strides = (4, 8, PATCH, PATCH, PATCH)
    no_weight_decay = ('norm', 'bias', 'positions')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small',
        image_size: int | Size | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        arch = self.arch
        height, width = square(image_size or arch.image_size)
        grid = height // PATCH, width // PATCH
        positions = PositionTable(arch.width, grid, rows=0, antialias=True) if arch.image_size else None
        half = arch.blocks // 2
        rates = drop_path_rates(drop_path_rate, (half, arch.blocks - half))
        columns = [[self._block(rate) for rate in part] for part in rates]
        self.assemble(
            patch_embed=Stem(self.in_channels, arch.conv_widths[0]).apply(fan_out),
            stages=[
                *(Stage(self._bottlenecks(i)).apply(fan_out) for i in range(len(arch.depths))),
                Stage(columns[0], PositionedDownsample(arch.conv_widths[-1], arch.width, positions)),
                Stage(columns[1]),
                Stage([]),
            ],
        )

    def _bottlenecks(self, stage: int) -> Iterable[nn.Module]:
        widths = self.arch.conv_widths
        yield InvertedBottleneck(widths[max(stage - 1, 0)], widths[stage], 2)
        for _ in range(self.arch.depths[stage] - 1):
            yield InvertedBottleneck(widths[stage], widths[stage], 1)

    def _block(self, drop_path: float) -> PreNormBlock:
        dim = self.arch.width
        attn = GlobalAttention(dim, self.arch.heads)
        return PreNormBlock(dim, attn, GeGLU(dim, 2 * dim), norm=norm, drop_path=drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'ViTamin') -> StateDict:
        """From timm's names, which are the authors', alone or as the image's tower of a CLIP model."""
        tower = r'^visual\.trunk\.'
        if any(key.startswith('visual.trunk.') for key in state_dict):
            state_dict = {key: value for key, value in state_dict.items() if key.startswith('visual.trunk.')}
        half = network.arch.blocks // 2
        table = 'stages.2.downsample.positions.table'
        ours = table in state_dict

        def block(match: re.Match) -> str:
            number = int(match[1])
            return f'stages.{2 + (number >= half)}.blocks.{number - half * (number >= half)}.'

        state_dict = rename(
            drop(rename(state_dict, (tower, '')), r'^fc_norm\.', r'^head\.'),
            (r'^blocks\.(\d+)\.', block),
            (r'^pos_embed$', 'stages.2.downsample.positions.table'),
            (r'^patch_embed\.backbone\.stem\.norm1\.', 'patch_embed.norm.'),
            (r'^patch_embed\.backbone\.stem\.', 'patch_embed.'),
            (r'^patch_embed\.backbone\.stages\.(\d)\.', r'stages.\1.blocks.'),
            (r'^patch_embed\.backbone\.pool\.norm\.', 'stages.2.downsample.norm.'),
            (r'^patch_embed\.backbone\.pool\.proj\.', 'stages.2.downsample.reduction.'),
            (r'\.pre_norm\.', '.norm.'),
            (r'\.conv1_1x1\.', '.fc1.'),
            (r'\.conv2_kxk\.', '.conv.'),
            (r'\.conv3_1x1\.', '.fc2.'),
            (r'\.mlp\.w2\.', '.mlp.fc2.'),
        )
        positions = network.stages[2].downsample.positions if len(network.stages) > 2 else None
        if table in state_dict and positions is not None:
            state_dict[table] = positions.fit(state_dict[table], ours=ours)
        state_dict = linear_from_pointwise(state_dict, r'\.(fc[12]|expand)\.weight$')
        return join(state_dict, ('w0', 'w1'), 'fc1')


ViTamin.archs = {
    'small': Arch(conv_widths=(64, 128), width=384, heads=6, blocks=14),
    'base': Arch(conv_widths=(128, 256), width=768, heads=12, blocks=14),
    'large': Arch(conv_widths=(160, 320), width=1024, heads=16, blocks=31),
    'large2': Arch(conv_widths=(160, 320), width=1024, heads=16, blocks=31),
    'xlarge': Arch(conv_widths=(192, 384), width=1152, heads=16, blocks=32, image_size=0),
}
