"""SG-Former: Self-guided Transformer with Evolving Token Reallocation.

Paper: "SG-Former: Self-guided Transformer with Evolving Token Reallocation", https://arxiv.org/abs/2308.12216.
Official code: https://github.com/OliverRensu/SG-Former (without a licence).

In the first three stages blocks come in pairs. The first of a pair attends with half of its heads to the map reduced by
a convolution, with the other half inside 7 x 7 windows, and notes how much attention each token receives: its
significance. The second sorts the tokens by significance and attends to sums of sorted neighbors, of many where
little is significant and of few where much is. The normalised map enters the next stage.

Only a classifier is published, which runs at multiples of 224 pixels. Here maps of any size are taken: they are
zero-padded on the right and at the bottom before the reduction and in windows, whose padding is never attended to; a
part of the sorted tokens that does not divide into groups is stretched to a whole number of them by repeating tokens,
evenly spread; positions are interpolated bicubically from those of a square image of `image_size` pixels. At
multiples of 224 nothing is padded or stretched. The authors sort twice, by rows and by columns, which makes a
difference only between tokens of equal significance; here they are sorted once. An order is not continuous: where
significances nearly agree rounding alone changes it, so equal code in another precision differs by a few percent:
outputs in bfloat16 deviate by up to 0.14 of their standard deviation from those in float32, where Swin's deviate by
0.01 (`python -m benchmarks.precision SGFormer:small:224 Swin:tiny:224`, made-up weights).

Legend: B batch, H W map, C channels, N tokens, n windows per map, h heads, d head width.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.significance import (
    attention_received,
    merge_groups,
    significance_order,
    window_attention_received,
)
from denseformer.attention.windows import window_partition, window_reverse
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, drop, rename, stages_from_numbers
from denseformer.dynamic_shapes import same_size
from denseformer.layers import (
    BottleneckDownsample,
    ConvNorm,
    DepthwiseConv,
    ImageNorm,
    Linear,
    Mlp,
    PreNormBlock,
    drop_path_rates,
    pad_to_multiple,
    resize_positions,
    to_channels_last,
)
from denseformer.layers.initializers import fan_out
from denseformer.network import Source
from denseformer.registry import MODELS

WINDOW = (7, 7)
REDUCTIONS = (8, 4, 2, None)
GROUPS = {8: (196, 56, 28), 4: (49, 14, 7), 2: (2, 1), None: ()}
SHARES = {3: (1, 2, 1), 2: (1, 1)}
layer_norm = partial(nn.LayerNorm, eps=1e-6)


class Stem(nn.Module):
    """Three convolutions, LayerNorm and positions: (B, in_channels, H, W) -> (B, ceil(H/4), ceil(W/4), dim).

    grid: side of the square map whose positions are learned.
    """

    def __init__(self, in_channels: int, dim: int, grid: int):
        super().__init__()
        self.conv1 = ConvNorm(in_channels, dim, 3, 2, norm=ImageNorm, act=nn.GELU)
        self.conv2 = ConvNorm(dim, dim, 3, norm=ImageNorm, act=nn.GELU)
        self.conv3 = ConvNorm(dim, dim, 3, 2, norm=ImageNorm)
        self.norm = nn.LayerNorm(dim)
        self.pos_embed = nn.Parameter(torch.empty(grid, grid, dim))
        if not self.pos_embed.is_meta:
            self.pos_embed.data.copy_(waves(grid, dim))

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv3(self.conv2(self.conv1(to_channels_last(image)))).permute(0, 2, 3, 1)  # (B, H/4, W/4, C)
        return self.norm(x) + resize_positions(self.pos_embed, (x.shape[1], x.shape[2]), 'bicubic')


def waves(grid: int, dim: int) -> Tensor:
    """Sines and cosines of columns, then of rows: (grid, grid, dim)."""
    frequency = 10000.0 ** -(torch.arange(dim // 4) / (dim // 4))
    angle = torch.arange(grid)[:, None] * frequency
    axis = torch.cat([angle.sin(), angle.cos()], 1)  # (grid, dim / 2)
    return torch.cat([axis.expand(grid, -1, -1), axis[:, None].expand(-1, grid, -1)], -1)


class LocallyEnhanced(nn.Module):
    """The base of all kinds of attention: a depth-wise convolution of the input beside it, and the projection.

    forward(x, significance) -> the map, and the significance of its tokens (B, H, W) where `mix` finds it out.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.lepe_linear = Linear(dim, dim)
        self.lepe_conv = DepthwiseConv(dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, significance: Tensor | None) -> tuple[Tensor, Tensor | None]:
        mixed, significance = self.mix(x, significance)
        return self.proj(mixed + self.lepe_conv(self.lepe_linear(x))), significance

    def mix(self, x: Tensor, significance: Tensor | None) -> tuple[Tensor, Tensor | None]:
        raise NotImplementedError


class HybridAttention(LocallyEnhanced):
    """Half of the heads attend to the map reduced `reduction` times, the other half inside windows."""

    def __init__(self, dim: int, heads: int, reduction: int):
        super().__init__(dim, heads)
        self.reduction = reduction
        self.q = Linear(dim, dim // 2)
        self.reduce = nn.Conv2d(dim, dim, reduction, reduction)
        self.norm = nn.LayerNorm(dim)
        self.kv = Linear(dim, dim)
        self.qkv = Linear(dim, 3 * (dim // 2))

    def mix(self, x: Tensor, significance: Tensor | None) -> tuple[Tensor, Tensor]:
        (wide, wide_significance), (local, local_significance) = self.attend_widely(x), self.attend_locally(x)
        return torch.cat([wide, local], -1), wide_significance + local_significance

    def attend_widely(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, H, W, _ = x.shape
        reduced = self.reduce(pad_to_multiple(x, self.reduction).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        size = reduced.shape[1:3]
        kv = self.kv(F.gelu(self.norm(reduced)).flatten(1, 2))
        q, (k, v) = split_heads(self.q(x).flatten(1, 2), 1, self.heads // 2)[0], split_heads(kv, 2, self.heads // 2)
        received = attention_received(q, k).unflatten(1, size)
        received = received.repeat_interleave(self.reduction, 1).repeat_interleave(self.reduction, 2)
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, N, C/2)
        return out.unflatten(1, (H, W)), received[:, :H, :W]

    def attend_locally(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, H, W, _ = x.shape
        qkv = pad_to_multiple(self.qkv(x), WINDOW)
        size = (qkv.shape[1], qkv.shape[2])
        inside = None
        if not same_size(size, (H, W)):
            inside = window_partition(pad_to_multiple(x.new_ones(1, H, W, 1), WINDOW), WINDOW)[0, ..., 0] > 0  # (n, N)
        out, received = window_attention_received(window_partition(qkv, WINDOW), self.heads // 2, inside)
        received = window_reverse(received.unsqueeze(-1), WINDOW, size)[:, :H, :W, 0]
        return window_reverse(out, WINDOW, size)[:, :H, :W], received


class GuidedAttention(LocallyEnhanced):
    """Attention of all tokens to sums of groups of tokens sorted by significance, or, without groups, to all."""

    def __init__(self, dim: int, heads: int, groups: tuple[int, ...]):
        super().__init__(dim, heads)
        self.groups = groups
        self.q = Linear(dim, dim)
        self.kv = Linear(dim, 2 * dim)
        self.merges = nn.ModuleList(Linear(group, 1) for group in groups)

    def mix(self, x: Tensor, significance: Tensor | None) -> tuple[Tensor, None]:
        tokens = x.flatten(1, 2)  # (B, N, C)
        q = split_heads(self.q(tokens), 1, self.heads)[0]
        if self.groups:
            parts = significance_order(significance.flatten(1), self.groups, SHARES[len(self.groups)])
            merged = [
                merge_groups(tokens, part, merge.weight, merge.bias)
                for part, merge in zip(parts, self.merges, strict=True)
            ]
            tokens = torch.cat(merged, 1)
        k, v = split_heads(self.kv(tokens), 2, self.heads)
        out = F.scaled_dot_product_attention(q, k, v)  # (B, h, N, d)
        return out.transpose(1, 2).reshape(x.shape), None


def split_heads(x: Tensor, parts: int, heads: int) -> Tensor:
    """(B, N, parts * C) -> (parts, B, h, N, d)."""
    return x.unflatten(-1, (parts, heads, -1)).permute(2, 0, 3, 1, 4)


class EnhancedMlp(Mlp):
    """An MLP whose hidden map is convolved depth-wise, residually, before the activation: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, hidden: int):
        super().__init__(dim, hidden)
        self.dwconv = DepthwiseConv(hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        return self.fc2(self.act(x + self.dwconv(x)))


class Block(PreNormBlock):
    """Attention and MLP: map and significance -> map and significance."""

    def __init__(self, dim: int, attn: nn.Module, drop_path: float):
        super().__init__(dim, attn, EnhancedMlp(dim, 4 * dim), drop_path=drop_path, norm=layer_norm)

    def forward(self, x: Tensor, significance: Tensor | None) -> tuple[Tensor, Tensor | None]:
        out, significance = self.attn(self.norm1(x), significance)
        x = x + self.drop_path(out)
        return x + self.drop_path(self.mlp(self.norm2(x))), significance


class GuidedStage(Stage):
    """A stage whose blocks hand the significance of tokens on."""

    def forward(self, x: Tensor) -> Tensor:
        x, significance = self.downsample(x), None
        for block in self.blocks:
            x, significance = self.run(block, x, significance)
        return x


@dataclass(frozen=True, kw_only=True)
class Arch:
    """widths, depths, heads: per stage; the depths of the first three are even."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]


@MODELS.register_module()
class SGFormer(Backbone):
    """Self-guided Transformer.

    Args:
        image_size: side, in pixels, of the square image whose positions are learned; those of other sizes are
            interpolated from them. Published checkpoints have 224.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='SG-Former: Self-guided Transformer with Evolving Token Reallocation, https://arxiv.org/abs/2308.12216',
        code='https://github.com/OliverRensu/SG-Former',
        license='none given',
    )
    norm_feeds_next = True
    no_weight_decay = ('norm', 'pos_embed')
    initial_weights = staticmethod(fan_out)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small',
        image_size: int = 224,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        self.assemble(
            patch_embed=Stem(self.in_channels, widths[0], -(-image_size // 4)),
            stages=self._stages(drop_path_rate),
            out_norms=[layer_norm(width) for width in widths],
        )

    def _stages(self, drop_path_rate: float) -> list[Stage]:
        widths, stages = self.arch.widths, []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            width, heads, reduction = widths[i], self.arch.heads[i], REDUCTIONS[i]
            blocks = []
            for j, rate in enumerate(rates):
                if reduction is not None and j % 2 == 0:
                    attn = HybridAttention(width, heads, reduction)
                else:
                    attn = GuidedAttention(width, heads, GROUPS[reduction])
                blocks.append(Block(width, attn, rate))
            downsample = BottleneckDownsample(widths[i - 1], width, norm=ImageNorm) if i else None
            stages.append(GuidedStage(blocks, downsample))
        return stages

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'SGFormer') -> StateDict:
        """From `patch_embed{i}`, `block{i}` and `norm{i}`, counted from 1; projections are fused, positions resized."""
        renamed = rename(
            drop(state_dict, r'^head\.'),
            (r'^pos_embed$', 'patch_embed.pos_embed'),
            (r'^patch_embed1\.conv\.([024])\.', lambda match: f'patch_embed.conv{int(match[1]) // 2 + 1}.'),
            *stages_from_numbers(),
            (r'\.c\.', '.conv.'),
            (r'\.bn\.', '.norm.'),
            (r'\.sr\.', '.reduce.'),
            (r'\.f(\d)\.', lambda match: f'.merges.{int(match[1]) - 1}.'),
            (r'\.dwconv\.dwconv\.', '.dwconv.'),
        )
        fused = rename(fuse_projections(renamed), (r'\.attn\.(q|kv)1\.', r'.attn.\1.'))
        positions = fused.get('patch_embed.pos_embed')
        if positions is not None:
            grid = network.patch_embed.pos_embed.shape[0]
            side = round(positions[..., 0].numel() ** 0.5)
            fused['patch_embed.pos_embed'] = resize_positions(positions.view(side, side, -1), (grid, grid), 'bicubic')
        return fused


def fuse_projections(state_dict: StateDict) -> StateDict:
    """The projections that the authors keep apart for two halves of the heads, made from the same tokens, as one.

    In hybrid blocks, `q2` and `kv2`, of the windows; in guided blocks `kv1` and `kv2`, each keys before values.
    """
    fused = dict(state_dict)
    for key, second in state_dict.items():
        match = re.match(r'(.*\.attn\.)kv2\.(weight|bias)$', key)
        if not match:
            continue
        (attn, kind), _ = match.groups(), fused.pop(key)
        if f'{attn}q2.{kind}' in fused:
            fused[f'{attn}qkv.{kind}'] = torch.cat([fused.pop(f'{attn}q2.{kind}'), second])
        else:
            halves = [half.unflatten(0, (2, -1)) for half in (fused.pop(f'{attn}kv1.{kind}'), second)]
            fused[f'{attn}kv.{kind}'] = torch.cat(halves, 1).flatten(0, 1)
    return fused


SGFormer.archs = {
    'small': Arch(widths=(64, 128, 256, 512), depths=(2, 4, 16, 1), heads=(2, 4, 8, 16)),
    'medium': Arch(widths=(64, 128, 256, 512), depths=(2, 6, 28, 2), heads=(2, 4, 8, 16)),
    'base': Arch(widths=(96, 192, 384, 768), depths=(4, 6, 24, 2), heads=(4, 6, 12, 24)),
}
