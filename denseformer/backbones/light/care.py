"""CARE Transformer: linear attention of some channels beside convolutions of others, exchanged in two steps.

Paper: "CARE Transformer: Mobile-Friendly Linear Visual Transformer via Decoupled Dual Interaction",
https://arxiv.org/abs/2411.16170.
Official code: https://github.com/zhouyuan888888/CARE-Transformer (no licence file; for classification only).

A block mixes tokens in three groups of channels, by attention, a 3 x 3 and a 7 x 7 convolution, and leaves the others
as they are, which serve as a memory. The first interaction joins the three groups, the second one these and the memory.
In the first two stages strips of eleven positions along rows and columns stand for attention; in the others it is
linear, with values that are the input itself. Queries and keys are made positive by ELU + 1.

The authors' last block ends on the hidden map of its second interaction, four times as wide, without a residual
connection, and so does the fourth map here. As in their code, rows and columns that do not fill a patch are left out: a
side of length L gives L // 4, L // 8 ... No output is normalized.

Legend: B batch, H W map, C channels, g channels of a group, h heads, d head width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.linear import averaging_linear_attention
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.layers import (
    ConvEmbed,
    DepthwiseConv2d,
    DropPath,
    apply_layer_scale,
    drop_path_rates,
    make_layer_scale,
)
from denseformer.layers.initializers import narrow
from denseformer.network import Source
from denseformer.registry import MODELS

LAYER_SCALE = 1e-6


class StripMixer(nn.Module):
    """Convolutions along columns and along rows, summed: (B, g, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.column = nn.Conv2d(dim, dim, (11, 1), padding=(5, 0), groups=dim)
        self.row = nn.Conv2d(dim, dim, (1, 11), padding=(0, 5), groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.column(x) + self.row(x)


class LinearMixer(nn.Module):
    """Linear attention whose values are its input: (B, g, H, W) -> the same."""

    def __init__(self, dim: int, head_width: int):
        super().__init__()
        self.heads = dim // head_width
        self.qk = nn.Conv2d(dim, 2 * dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        q, k = (F.elu(self.qk(x)) + 1).chunk(2, 1)
        q, k, v = (tokens.flatten(2).unflatten(1, (self.heads, -1)).mT for tokens in (q, k, x))  # (B, h, N, d)
        return averaging_linear_attention(q, k, v, eps=1e-6).mT.flatten(1, 2).unflatten(2, (H, W))


class AsymmetricMixer(nn.Module):
    """Mixes the tokens of the last three groups of channels: (B, C, H, W) -> memory (B, C - 3g, ..), (B, 3g, ..)."""

    def __init__(self, dim: int, group: int, head_width: int | None):
        super().__init__()
        self.parts = [dim - 3 * group, group, group, group]
        self.attn = StripMixer(group) if head_width is None else LinearMixer(group, head_width)
        self.conv3 = DepthwiseConv2d(group, 3)
        self.conv7 = DepthwiseConv2d(group, 7)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        memory, attended, near, far = x.split(self.parts, 1)
        return memory, torch.cat((self.attn(attended), self.conv3(near), self.conv7(far)), 1)


class Interaction(nn.Module):
    """BatchNorm, 1 x 1 convolution, GELU, depth-wise 3 x 3 and 1 x 1 convolution, residual: (B, C, H, W) -> the same.

    Unless `narrows`, the last convolution and the residual connection are left out: -> (B, ratio * C, H, W).
    """

    def __init__(self, dim: int, ratio: int, narrows: bool = True):
        super().__init__()
        self.norm = nn.BatchNorm2d(dim)
        self.fc1 = nn.Conv2d(dim, ratio * dim, 1)
        self.conv = DepthwiseConv2d(ratio * dim, 3)
        self.fc2 = nn.Conv2d(ratio * dim, dim, 1) if narrows else None

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv(F.gelu(self.fc1(self.norm(x))))
        return hidden if self.fc2 is None else x + self.fc2(hidden)


class Block(nn.Module):
    """Token mixer and two interactions, residual unless `last`: (B, C, H, W) -> the same, or (B, ratio * C, H, W)."""

    def __init__(
        self, dim: int, group: int, head_width: int | None, ratios: tuple[int, int], drop_path: float, last: bool
    ):
        super().__init__()
        self.attn = AsymmetricMixer(dim, group, head_width)
        self.inter1 = Interaction(3 * group, ratios[0])
        self.inter2 = Interaction(dim, ratios[1], narrows=not last)
        self.gamma = None if last else make_layer_scale(dim, LAYER_SCALE, channel_first=True)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        memory, mixed = self.attn(x)
        out = self.drop_path(self.inter2(torch.cat((memory, self.inter1(mixed)), 1)))
        return out if self.gamma is None else x + apply_layer_scale(out, self.gamma)


class Downsample(nn.Module):
    """BatchNorm, then a 2 x 2 stride-2 convolution: (B, C, H, W) -> (B, out_dim, H // 2, W // 2)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(dim)
        self.reduction = nn.Conv2d(dim, out_dim, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduction(self.norm(x))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """dims: channels of the stages; groups: of each group that is mixed; ratios: how much wider the two interactions of
    a block are inside; head_widths: of the linear attention, None for strips."""

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    groups: tuple[int, ...]
    ratios: tuple[tuple[int, int], ...]
    head_widths: tuple[int | None, ...] = (None, None, 16, 32)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the maps, the last of which is the last block's hidden one."""
        return *self.dims[:-1], self.dims[-1] * self.ratios[-1][1]


@MODELS.register_module()
class CARE(Backbone):
    """CARE Transformer."""

    source = Source(
        paper='CARE Transformer: Mobile-Friendly Linear Visual Transformer via Decoupled Dual Interaction, '
        'https://arxiv.org/abs/2411.16170',
        code='https://github.com/zhouyuan888888/CARE-Transformer',
        license='none stated',
    )
    channels_last = False
    no_weight_decay = ('norm', 'bias', 'gamma')
    initial_weights = staticmethod(narrow)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 's0',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        dims = self.arch.dims
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            blocks = [self._block(i, j, rate) for j, rate in enumerate(rates)]
            stages.append(Stage(blocks, Downsample(dims[i - 1], dims[i]) if i else None))
        stem = ConvEmbed(self.in_channels, dims[0], kernel_size=4, stride=4, padding=0, norm=nn.BatchNorm2d)
        self.assemble(patch_embed=stem, stages=stages)

    def _block(self, stage: int, index: int, drop_path: float) -> nn.Module:
        arch = self.arch
        last = stage == len(arch.dims) - 1 and index == arch.depths[stage] - 1
        sizes = arch.dims[stage], arch.groups[stage], arch.head_widths[stage]
        return Block(*sizes, arch.ratios[stage], drop_path, last)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'CARE') -> StateDict:
        renamed = rename(
            strip_classifier(state_dict, official=r'\.token_mixer\.', classifier=(r'^(dist_)?head\.',)),
            (r'^stem\.0\.', 'patch_embed.proj.'),
            (r'^stem\.1\.', 'patch_embed.norm.'),
            (r'\.downsample\.0\.', '.downsample.norm.'),
            (r'\.downsample\.1\.', '.downsample.reduction.'),
            (r'\.token_mixer\.dwconvatt_1\.', '.attn.attn.column.'),
            (r'\.token_mixer\.dwconvatt_2\.', '.attn.attn.row.'),
            (r'\.token_mixer\.dwconv1\.', '.attn.conv3.'),
            (r'\.token_mixer\.dwconv2\.', '.attn.conv7.'),
            (r'\.token_mixer\.qk\.', '.attn.attn.qk.'),
            (r'\.inter_layer\.inter([12])_', r'.inter\1.'),
        )
        gains = {key: value.view(-1, 1, 1) for key, value in renamed.items() if key.endswith('.gamma')}
        return renamed | gains


CARE.archs = {
    's0': Arch(
        dims=(32, 64, 128, 256), depths=(2, 4, 8, 4), groups=(8, 16, 32, 64), ratios=((2, 2), (2, 4), (4, 4), (4, 4))
    ),
    's1': Arch(
        dims=(32, 64, 128, 256), depths=(3, 6, 10, 6), groups=(8, 16, 32, 64), ratios=((2, 4), (2, 4), (4, 4), (4, 4))
    ),
    's2': Arch(
        dims=(32, 64, 192, 384), depths=(3, 6, 10, 6), groups=(8, 16, 48, 96), ratios=((4, 4), (4, 4), (4, 4), (4, 4))
    ),
}
