"""DaViT: attention inside windows and attention among channels, in turn.

Paper: "DaViT: Dual Attention Vision Transformers", https://arxiv.org/abs/2204.03645.
Official code: https://github.com/dingmyu/davit (MIT).

Windows see tokens side by side; channels, each of which spans the map, carry what is common to all of it. Windows have
neither shift nor position bias; depth-wise convolutions before attention and before the MLP encode positions. Maps are
padded to a multiple of the window behind the norm, and the padding is attended to.

Legend: B batch, H W map, C channels, h heads, d head width, N tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.channel import channel_attention
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.layers import (
    DepthwiseConv,
    Linear,
    Mlp,
    NormedPatchDownsample,
    PatchEmbed,
    PreNormBlock,
    ShiftedWindowAttention,
    drop_path_rates,
)
from denseformer.network import Source
from denseformer.registry import MODELS


class ChannelAttention(nn.Module):
    """Attention among the channels of each head: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).flatten(1, 2).unflatten(-1, (3, self.heads, -1))  # (B, N, 3, h, d)
        out = channel_attention(*qkv.permute(2, 0, 3, 1, 4))  # (B, h, N, d)
        return self.proj(out.transpose(1, 2).reshape(x.shape))


class Block(PreNormBlock):
    """Attention and an MLP, each pre-normalised, residual, and led by a position encoding: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, attn: nn.Module, *, drop_path: float):
        super().__init__(dim, attn, Mlp(dim, 4 * dim), drop_path=drop_path)
        self.attn_pos_embed = DepthwiseConv(dim)
        self.mlp_pos_embed = DepthwiseConv(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn_pos_embed(x)
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.mlp_pos_embed(x)
        return x + self.drop_path(self.mlp(self.norm2(x)))


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """depths: in pairs of blocks."""

    heads: tuple[int, ...]


@MODELS.register_module()
class DaViT(Backbone):
    """Dual Attention Vision Transformer.

    Args:
        window_size: side of a window in tokens. No parameter depends on it.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='DaViT: Dual Attention Vision Transformers, https://arxiv.org/abs/2204.03645',
        code='https://github.com/dingmyu/davit',
        license='MIT',
    )
    no_weight_decay = ()

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        window_size: int = 7,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        rates = drop_path_rates(drop_path_rate, [2 * depth for depth in self.arch.depths])
        self.assemble(
            patch_embed=PatchEmbed(self.in_channels, widths[0], kernel_size=7, padding=3),
            stages=[self._stage(i, window_size, rates[i]) for i in range(len(widths))],
            out_norms=[nn.LayerNorm(width) for width in widths],
        )

    def _stage(self, stage: int, window_size: int, rates: Sequence[float]) -> Stage:
        width, heads = self.arch.widths[stage], self.arch.heads[stage]
        blocks = []
        for i, rate in enumerate(rates):
            windows = ShiftedWindowAttention(width, heads, window=window_size, position_bias=False)
            blocks.append(Block(width, ChannelAttention(width, heads) if i % 2 else windows, drop_path=rate))
        into = self.arch.widths[stage - 1]
        return Stage(blocks, NormedPatchDownsample(into, width, eps=1e-5, pad=True) if stage else None)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'DaViT') -> StateDict:
        """From `main_blocks.i.j.k`, the pair j of stage i, and `patch_embeds.i`, which leads into stage i."""
        return rename(
            strip_classifier(state_dict, official=r'^main_blocks\.', classifier=(r'^norms\.', r'^head\.')),
            (r'^patch_embeds\.0\.', 'patch_embed.'),
            (r'^patch_embeds\.(\d)\.proj\.', r'stages.\1.downsample.reduction.'),
            (r'^patch_embeds\.(\d)\.norm\.', r'stages.\1.downsample.norm.'),
            (r'^norm(\d)\.', r'out_norms.\1.'),
            (
                r'^main_blocks\.(\d)\.(\d+)\.(\d)\.',
                lambda match: f'stages.{match[1]}.blocks.{2 * int(match[2]) + int(match[3])}.',
            ),
            (r'\.cpe\.0\.proj\.', '.attn_pos_embed.'),
            (r'\.cpe\.1\.proj\.', '.mlp_pos_embed.'),
        )


DaViT.archs = {
    'tiny': Arch(width=96, depths=(1, 1, 3, 1), heads=(3, 6, 12, 24)),
    'small': Arch(width=96, depths=(1, 1, 9, 1), heads=(3, 6, 12, 24)),
    'base': Arch(width=128, depths=(1, 1, 9, 1), heads=(4, 8, 16, 32)),
}
