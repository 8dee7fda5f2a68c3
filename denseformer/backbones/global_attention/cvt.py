"""CvT: convolutions in place of patches, and in front of the projections of attention.

Paper: "CvT: Introducing Convolutions to Vision Transformers", https://arxiv.org/abs/2103.15808.
Official code: https://github.com/microsoft/CvT (MIT), for classification only.

Queries, keys and values come from depth-wise convolutions, those of keys and values of stride 2; there are no
positions. Logits are scaled by the width of the stage, not of a head. There are three stages, of strides 4, 8 and 16;
in the last one a class token takes part in attention, past the convolutions. The maps are returned without a norm, and
stochastic depth concerns the last stage alone.

Legend: B batch, H W map, C channels, T tokens: the class token, where there is one, and the map's, h heads, d head
width.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.layers import ConvNorm, Linear, Mlp, PatchDownsample, PatchEmbed, PreNormBlock, drop_path_rates
from denseformer.network import Source
from denseformer.registry import MODELS

Size = tuple[int, int]


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), an approximation of GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ConvAttention(nn.Module):
    """Attention whose queries, keys and values are convolved first: (B, T, C) -> the same.

    The map's tokens, H * W of them, come last; the ones before them are not convolved.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_conv = ConvNorm(dim, dim, 3, groups=dim)
        self.k_conv = ConvNorm(dim, dim, 3, 2, groups=dim)
        self.v_conv = ConvNorm(dim, dim, 3, 2, groups=dim)
        self.q = Linear(dim, dim)
        self.k = Linear(dim, dim)
        self.v = Linear(dim, dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        H, W = size
        others, x = x.split([x.shape[1] - H * W, H * W], 1)
        x = x.unflatten(1, size).permute(0, 3, 1, 2)  # (B, C, H, W)
        q, k, v = (
            project(torch.cat([others, conv(x).flatten(2).mT], 1)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for conv, project in ((self.q_conv, self.q), (self.k_conv, self.k), (self.v_conv, self.v))
        )  # q (B, h, T, d); k, v: tokens of half the map
        return self.proj(window_softmax_attention(q, k, v, scale=x.shape[1] ** -0.5))


class TokenStage(Stage):
    """A stage that works on sequences, (B, T, C), with a class token in front where it has one: maps -> maps."""

    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None, cls_token: nn.Parameter | None):
        super().__init__(blocks, downsample)
        self.cls_token = cls_token

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        B, H, W, _ = x.shape
        x = x.flatten(1, 2)  # (B, H * W, C)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.to(x.dtype).expand(B, -1, -1), x], 1)
        for block in self.blocks:
            x = self.run(block, x, (H, W))
        return x[:, -H * W :].unflatten(1, (H, W))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """widths, depths, heads: of the three stages."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]


@MODELS.register_module()
class CvT(Backbone):
    """Convolutional vision transformer. It has three stages, of strides 4, 8 and 16."""

    source = Source(
        paper='CvT: Introducing Convolutions to Vision Transformers, https://arxiv.org/abs/2103.15808',
        code='https://github.com/microsoft/CvT',
        license='MIT',
    )
    strides = (4, 8, 16)
    no_weight_decay = ('norm', 'bias', 'cls_token')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = '13',
        drop_path_rate: float = 0.1,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **(BackboneOptions(out_indices=(0, 1, 2)) | common))
        *_, last = self.arch.depths
        rates = [*([0.0] * depth for depth in self.arch.depths[:-1]), *drop_path_rates(drop_path_rate, [last])]
        self.assemble(
            patch_embed=PatchEmbed(self.in_channels, self.arch.widths[0], kernel_size=7, padding=2, pad=False),
            stages=[self._stage(i, rates[i]) for i in range(len(rates))],
        )

    def _stage(self, stage: int, rates: list[float]) -> TokenStage:
        widths = self.arch.widths
        dim, heads = widths[stage], self.arch.heads[stage]
        blocks = [
            PreNormBlock(dim, ConvAttention(dim, heads), Mlp(dim, 4 * dim, QuickGELU), drop_path=rate) for rate in rates
        ]
        downsample = cls_token = None
        if stage:
            downsample = PatchDownsample(widths[stage - 1], dim, 2, kernel_size=3, padding=1, pad=False)
        if stage == len(widths) - 1:
            cls_token = nn.Parameter(torch.empty(1, 1, dim))
            nn.init.trunc_normal_(cls_token, std=0.02)
        return TokenStage(blocks, downsample, cls_token)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'CvT') -> StateDict:
        """From `stage{i}`, each with a `patch_embed`."""
        return rename(
            strip_classifier(state_dict, official=r'^stage\d\.'),
            (r'^stage0\.patch_embed\.', 'patch_embed.'),
            (r'^stage(\d)\.patch_embed\.', r'stages.\1.downsample.'),
            (r'^stage(\d)\.', r'stages.\1.'),
            (r'\.attn\.conv_proj_([qkv])\.bn\.', r'.attn.\1_conv.norm.'),
            (r'\.attn\.conv_proj_([qkv])\.', r'.attn.\1_conv.'),
            (r'\.attn\.proj_([qkv])\.', r'.attn.\1.'),
        )


CvT.archs = {
    '13': Arch(widths=(64, 192, 384), depths=(1, 2, 10), heads=(1, 3, 6)),
    '21': Arch(widths=(64, 192, 384), depths=(1, 4, 16), heads=(1, 3, 6)),
    'w24': Arch(widths=(192, 768, 1024), depths=(2, 2, 20), heads=(3, 12, 16)),
}
