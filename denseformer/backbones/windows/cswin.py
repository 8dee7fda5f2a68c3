"""CSWin Transformer: half of the heads attend in vertical stripes, the other half in horizontal ones.

Paper: "CSWin Transformer: A General Vision Transformer Backbone with Cross-Shaped Windows",
https://arxiv.org/abs/2107.00652.
Official code: https://github.com/microsoft/CSWin-Transformer (MIT).

Stripes span the map and widen with depth; in the last stage all heads attend to the whole map. Positions are encoded by
a depth-wise convolution of the values that ends at the stripe's border. A map that does not divide into stripes is
padded evenly on both sides after the projections: the padding is attended to, with logit and value 0.

The stem loses up to three pixels: a side of n becomes (n - 3) // 4 + 1. The authors' dense code derives the widths from
the numbers of heads, which halves the last stage of the large variant; here widths double, as in its checkpoints.

Legend: B batch, H W map, C channels, h heads, n stripes of all maps, N tokens of a stripe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.windows import Size, window_attention, window_partition, window_reverse
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.dynamic_shapes import needs_padding, padding_to_multiple
from denseformer.layers import ConvDownsample, DepthwiseConv, Linear, Mlp, PatchEmbed, PreNormBlock, drop_path_rates
from denseformer.network import Source
from denseformer.registry import MODELS


def stripe_attention(qkv: Tensor, heads: int, stripe: Size, encode: nn.Module) -> Tensor:
    """Softmax attention inside stripes, and `encode`, a module on maps, of the values of each stripe added to it.

    qkv: (B, H, W, 3C), laid out (3, h, d) on the last axis -> (B, H, W, C).
    """
    H, W, C = qkv.shape[1], qkv.shape[2], qkv.shape[3] // 3
    bottom, right = padding_to_multiple(H, stripe[0]), padding_to_multiple(W, stripe[1])
    top, left = bottom // 2, right // 2
    if needs_padding(bottom, right):
        qkv = F.pad(qkv, (0, 0, left, right - left, top, bottom - top))
    stripes = window_partition(qkv, stripe)  # (B, n/B, N, 3C)
    out = window_attention(stripes, heads)
    values = stripes[..., 2 * C :].reshape(-1, *stripe, C)  # (n, wh, ww, C)
    out = out + encode(values).reshape(out.shape)
    return window_reverse(out, stripe, (H + bottom, W + right))[:, top : top + H, left : left + W]


class CrossShapedAttention(nn.Module):
    """Attention in stripes `split` tokens wide, or, without, to the whole map: (B, H, W, C) -> the same.

    encodings: of the positions in vertical and in horizontal stripes, or in the whole map.
    """

    def __init__(self, dim: int, heads: int, split: int | None):
        super().__init__()
        self.split = split
        branches = 2 if split else 1
        if heads % branches:
            raise ValueError(f'heads must be even to be shared among two kinds of stripes, got {heads}.')
        self.heads = heads // branches
        self.qkv = Linear(dim, 3 * dim)
        self.encodings = nn.ModuleList(DepthwiseConv(dim // branches) for _ in range(branches))
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[1], x.shape[2]
        stripes = [(size[0], self.split), (self.split, size[1])] if self.split else [size]
        shares = self.qkv(x).unflatten(-1, (3, len(stripes), -1)).unbind(-2)  # each (B, H, W, 3, C / branches)
        outs = [
            stripe_attention(share.flatten(3), self.heads, stripe, encode)
            for share, stripe, encode in zip(shares, stripes, self.encodings, strict=True)
        ]
        return self.proj(torch.cat(outs, dim=-1))


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """splits: how wide stripes are in each stage, None for the whole map."""

    heads: tuple[int, ...]
    splits: tuple[int | None, ...] = (1, 2, 7, None)


@MODELS.register_module()
class CSWin(Backbone):
    """CSWin Transformer. The arguments are described in `Backbone`."""

    source = Source(
        paper='CSWin Transformer: A General Vision Transformer Backbone with Cross-Shaped Windows, '
        'https://arxiv.org/abs/2107.00652',
        code='https://github.com/microsoft/CSWin-Transformer',
        license='MIT',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        self.assemble(
            patch_embed=PatchEmbed(self.in_channels, widths[0], kernel_size=7, padding=2, pad=False),
            stages=[self._stage(i, rates) for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths))],
            out_norms=[nn.LayerNorm(width) for width in widths],
        )

    def _stage(self, stage: int, rates: Sequence[float]) -> Stage:
        width, heads, split = self.arch.widths[stage], self.arch.heads[stage], self.arch.splits[stage]
        blocks = [
            PreNormBlock(width, CrossShapedAttention(width, heads, split), Mlp(width, 4 * width), drop_path=rate)
            for rate in rates
        ]
        return Stage(blocks, ConvDownsample(self.arch.widths[stage - 1], width, bias=True) if stage else None)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'CSWin') -> StateDict:
        """From `stage1` to `stage4` and `merge1` to `merge3`, whose output enters the next stage."""
        return rename(
            strip_classifier(state_dict, official=r'^stage1_conv_embed\.'),
            (r'^stage1_conv_embed\.0\.', 'patch_embed.proj.'),
            (r'^stage1_conv_embed\.2\.', 'patch_embed.norm.'),
            (r'^norm(\d)\.', lambda match: f'out_norms.{int(match[1]) - 1}.'),
            (r'^merge(\d)\.conv\.', r'stages.\1.downsample.reduction.'),
            (r'^merge(\d)\.norm\.', r'stages.\1.downsample.norm.'),
            (r'^stage(\d)\.(\d+)\.', lambda match: f'stages.{int(match[1]) - 1}.blocks.{match[2]}.'),
            (r'^(stages\.\d+\.blocks\.\d+)\.(qkv|proj)\.', r'\1.attn.\2.'),
            (r'\.attns\.(\d)\.get_v\.', r'.attn.encodings.\1.'),
        )


CSWin.archs = {
    'tiny': Arch(width=64, depths=(1, 2, 21, 1), heads=(2, 4, 8, 16)),
    'small': Arch(width=64, depths=(2, 4, 32, 2), heads=(2, 4, 8, 16)),
    'base': Arch(width=96, depths=(2, 4, 32, 2), heads=(4, 8, 16, 32)),
    'large': Arch(width=144, depths=(2, 4, 32, 2), heads=(6, 12, 24, 24)),
}
