"""FaViT: Factorization Vision Transformer.

Paper: "Factorization Vision Transformer: Modeling Long Range Dependency with Local Window Cost",
https://arxiv.org/abs/2312.08614.
Official code: https://github.com/q2479036243/FaViT (no licence stated).

Channels are split: the first few attend, with one head, to the map reduced by a strided convolution; the others attend
to 49 tokens that summarise all 7 x 7 windows of the map, one part of the channels through dense windows, the other
through windows with gaps as wide as the reduction. The norm at the end of a stage is part of the network: what it
returns is the output and feeds the next stage.

The authors average windows over runs of a flattened (windows, channels) axis, which mixes channels instead of averaging
each over the windows; checkpoints were trained so, and so it is here. They continue the map to whole windows by
reflection, which fails below about 100 pixels; here the reflection goes to and fro as often as is needed.

Legend: B batch, H W map, N = H * W, C channels, h heads, d head width, n windows, P parts of windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, linear_from_pointwise, rename, stages_from_numbers, strip_classifier
from denseformer.dynamic_shapes import reflect
from denseformer.layers import (
    ConvDownsample,
    ConvMlp,
    DepthwiseConv,
    Linear,
    OverlapPatchEmbed,
    Pointwise,
    PreNormBlock,
    drop_path_rates,
)
from denseformer.layers.initializers import fan_out
from denseformer.network import Source
from denseformer.registry import MODELS

WINDOW = 7


@cached_constant(64)
def window_positions(side: int, dilation: int, device: torch.device) -> Tensor:
    """(7 * n,) positions on one axis: the first token of every window, then the second of every window, and so on.

    Windows lie side by side, their tokens `dilation` apart; past the end positions run back and forth.
    """
    stride = dilation * (WINDOW - 1) + 1
    starts = torch.arange(0, side, stride, device=device)
    positions = torch.arange(0, stride, dilation, device=device)[:, None] + starts  # (7, n)
    return reflect(positions, side).flatten()


def window_summary(x: Tensor, dilation: int, heads: int) -> Tensor:
    """The 49 tokens that stand for all windows of a map: (B, H, W, C) -> (B, h, 49, d).

    Each is the mean over runs of n successive entries of the position's features in all windows, laid out (n, d).
    """
    _, H, W, C = x.shape
    rows, columns = (window_positions(side, dilation, x.device) for side in (H, W))
    tokens = x.index_select(1, rows).index_select(2, columns)  # (B, 7 * rows of windows, 7 * columns of windows, C)
    tokens = tokens.unflatten(2, (WINDOW, -1)).unflatten(1, (WINDOW, -1)).unflatten(-1, (heads, -1))
    tokens = tokens.permute(0, 5, 1, 3, 2, 4, 6)  # (B, h, 7, 7, rows of windows, columns of windows, d)
    return tokens.reshape(x.shape[0], heads, WINDOW**2, C // heads, -1).mean(-1)


class WindowTokens(nn.Module):
    """Keys and values from the summary of a map's windows: (B, H, W, C) -> two (B, h, 49, d)."""

    def __init__(self, dim: int, heads: int, dilation: int):
        super().__init__()
        self.heads, self.dilation = heads, dilation
        width = dim // heads
        self.fc = Linear(width, width)
        self.kv = Linear(width, 2 * width)
        self.conv = DepthwiseConv(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        k, v = self.kv(self.fc(window_summary(x, self.dilation, self.heads))).chunk(2, -1)
        square = v.transpose(1, 2).reshape(x.shape[0], WINDOW, WINDOW, -1)  # (B, 7, 7, C)
        return k, v + self.conv(square).reshape(x.shape[0], WINDOW**2, self.heads, -1).transpose(1, 2)


class ReducedTokens(nn.Module):
    """Keys and values from a map reduced by a strided convolution: (B, H, W, C) -> two (B, 1, M, C)."""

    def __init__(self, dim: int, reduction: int):
        super().__init__()
        self.sr = nn.Conv2d(dim, dim, reduction, reduction)
        self.norm = nn.LayerNorm(dim)
        self.kv = Linear(dim, 2 * dim)
        self.conv = DepthwiseConv(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        reduced = self.norm(self.sr(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        k, v = self.kv(reduced).chunk(2, -1)
        v = v + self.conv(v)
        return k.flatten(1, 2)[:, None], v.flatten(1, 2)[:, None]


class FactorizedAttention(nn.Module):
    """Attention of all queries to the reduced map and to the windows' summaries: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, reduction: int):
        super().__init__()
        dilations, shares = ((1, reduction), (2, 7)) if reduction > 1 else ((1,), (1, 7))
        unit = dim // (shares[0] + shares[1] * len(dilations))
        reduced, windowed = unit * shares[0], unit * shares[1]
        self.heads, self.split = heads, (reduced, windowed * len(dilations))
        self.q = Linear(dim, dim)
        self.reduced = ReducedTokens(reduced, reduction)
        self.depthwise = DepthwiseConv(self.split[1])
        self.pointwise = Pointwise(self.split[1], self.split[1])
        self.windows = nn.ModuleList(WindowTokens(windowed, heads, dilation) for dilation in dilations)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, _ = x.shape
        parts = len(self.windows)
        q, window_q = self.q(x).flatten(1, 2).split(self.split, -1)
        window_q = window_q.unflatten(-1, (self.heads, parts, -1)).permute(0, 3, 2, 1, 4)  # (B, P, h, N, d)
        x, window_x = x.split(self.split, -1)
        maps = self.pointwise(self.depthwise(window_x)).chunk(parts, -1)
        keys, values = zip(*(tokens(part) for tokens, part in zip(self.windows, maps, strict=True)), strict=True)
        outs = (
            F.scaled_dot_product_attention(q[:, None], *self.reduced(x)),
            F.scaled_dot_product_attention(window_q.flatten(1, 2), torch.cat(keys, 1), torch.cat(values, 1)),
        )
        return self.proj(torch.cat([out.transpose(1, 2).reshape(B, H, W, -1) for out in outs], -1))


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """Per stage: heads; how many times wider than the stage its MLPs are; by what keys and values are reduced."""

    heads: tuple[int, ...] = (1, 2, 4, 8)
    mlp_ratios: tuple[int, ...] = (8, 6, 4, 4)
    reductions: tuple[int, ...] = (8, 4, 2, 1)


@MODELS.register_module()
class FaViT(Backbone):
    """Factorization vision transformer. The arguments are described in `Backbone`."""

    source = Source(
        paper='Factorization Vision Transformer, https://arxiv.org/abs/2312.08614',
        code='https://github.com/q2479036243/FaViT',
        license='not stated',
    )
    norm_feeds_next = True
    initial_weights = staticmethod(fan_out)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'b0',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths, rates = self.arch.widths, drop_path_rates(drop_path_rate, self.arch.depths)
        norm = partial(nn.LayerNorm, eps=1e-6)
        stages = []
        for i, width in enumerate(widths):
            blocks = [
                PreNormBlock(
                    width,
                    FactorizedAttention(width, self.arch.heads[i], self.arch.reductions[i]),
                    ConvMlp(width, width * self.arch.mlp_ratios[i]),
                    norm=norm,
                    drop_path=rate,
                )
                for rate in rates[i]
            ]
            stages.append(Stage(blocks, ConvDownsample(widths[i - 1], width, bias=True) if i else None))
        self.assemble(
            patch_embed=OverlapPatchEmbed(self.in_channels, widths[0]),
            stages=stages,
            out_norms=[norm(width) for width in widths],
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'FaViT') -> StateDict:
        """From `patch_embed{n}`, `block{n}` and `norm{n}` with n = 1 .. 4."""
        state_dict = rename(
            strip_classifier(state_dict, official=r'^block\d\.', classifier=(r'^head\.',)),
            *stages_from_numbers(),
            (r'\.downsample\.proj\.', '.downsample.reduction.'),
            (r'\.attn\.(sr|norm)\.', r'.attn.reduced.\1.'),
            (r'\.attn\.kv_g\.', '.attn.reduced.kv.'),
            (r'\.attn\.local_conv_g\.', '.attn.reduced.conv.'),
            (r'\.attn\.kv_l\.depth_conv\.', '.attn.depthwise.'),
            (r'\.attn\.kv_l\.point_conv\.', '.attn.pointwise.'),
            (r'\.attn\.fcs\.(\d)\.', r'.attn.windows.\1.fc.'),
            (r'\.attn\.single_heads\.(\d)\.', r'.attn.windows.\1.kv.'),
            (r'\.attn\.local_convs\.(\d)\.', r'.attn.windows.\1.conv.'),
            (r'\.mlp\.dwconv\.dwconv\.', '.mlp.dwconv.'),
        )
        return linear_from_pointwise(state_dict, r'\.attn\.pointwise\.weight$')


FaViT.archs = {
    'b0': Arch(width=32, depths=(2, 2, 6, 2)),
    'b1': Arch(width=64, depths=(2, 2, 6, 2)),
    'b2': Arch(width=64, depths=(2, 3, 18, 3)),
    'b3': Arch(width=96, depths=(2, 3, 14, 3)),
}
