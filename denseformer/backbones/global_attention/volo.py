"""VOLO: outlook attention on a fine map, then a transformer on one half as fine.

Paper: "VOLO: Vision Outlooker for Visual Recognition", https://arxiv.org/abs/2106.13112.
Official code: https://github.com/sail-sg/volo (Apache-2.0), for classification only.

An outlooker predicts the attention weights of a 3 x 3 window from the token in its middle, without queries and keys.
The network is not a pyramid: the stage of outlookers has stride 8, the three stages of plain transformer blocks stride
16. The maps are returned without a norm, and stochastic depth leaves the outlookers out, as in the authors' code.

Positions are learned for a square image and interpolated bilinearly for others, which the authors' code refuses. What
does not fill a patch is left out.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.outlook import outlook_attention
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.backbones.global_attention.pvt import PositionedStage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.layers import GlobalAttention, Linear, Mlp, PreNormBlock, drop_path_rates, resize_positions
from denseformer.layers.stem import DeepStem
from denseformer.network import Source
from denseformer.registry import MODELS


class OutlookAttention(nn.Module):
    """Attention inside 3 x 3 windows around every second token, its weights predicted: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.scale = (dim // heads) ** -0.5
        self.v = Linear(dim, dim, bias=False)
        self.logits = Linear(dim, heads * 9 * 9)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        centers = F.avg_pool2d(x.permute(0, 3, 1, 2), 2, ceil_mode=True).permute(0, 2, 3, 1)  # (B, H/2, W/2, C)
        return self.proj(outlook_attention(self.logits(centers) * self.scale, self.v(x)))


class DeepPatchEmbed(nn.Module):
    """Three convolutions, then patches of 4 x 4 of their outputs: (B, C, H, W) -> (B, H/8, W/8, dim)."""

    def __init__(self, in_channels: int, hidden: int, dim: int):
        super().__init__()
        self.stem = DeepStem(in_channels, hidden)
        self.proj = nn.Conv2d(hidden, dim, 4, 4)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(self.stem(image)).permute(0, 2, 3, 1)  # (B, H/8, W/8, dim)


class Downsample(nn.Module):
    """2 x 2 tokens to one: (B, H, W, C) -> (B, H // 2, W // 2, out_dim)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.proj = nn.Conv2d(dim, out_dim, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H // 2, W // 2, out_dim)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """stem: channels of the first three convolutions; depths, widths, heads: of the outlookers, then of the others."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    heads: tuple[int, ...]
    stem: int = 64
    mlp_ratio: int = 3


@MODELS.register_module()
class VOLO(Backbone):
    """Vision outlooker. Its maps have strides 8, 16, 16 and 16.

    Args:
        image_size: side of the square images that positions are learned for.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='VOLO: Vision Outlooker for Visual Recognition, https://arxiv.org/abs/2106.13112',
        code='https://github.com/sail-sg/volo',
        license='Apache-2.0',
    )
    strides = (8, 16, 16, 16)
    no_weight_decay = ('norm', 'bias', 'pos_embed')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'd1',
        image_size: int = 224,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        arch = self.arch
        if image_size < 16:
            raise ValueError(f'image_size must be at least 16, got {image_size}.')
        rates = drop_path_rates(drop_path_rate, arch.depths)
        rates[0] = [0.0] * arch.depths[0]
        blocks = [[self._block(i, rate) for rate in stage_rates] for i, stage_rates in enumerate(rates)]
        downsample = Downsample(arch.widths[0], arch.widths[1])
        self.assemble(
            patch_embed=DeepPatchEmbed(self.in_channels, arch.stem, arch.widths[0]),
            stages=[
                Stage(blocks[0]),
                PositionedStage(blocks[1], downsample, dim=arch.widths[1], side=image_size // 16),
                *(Stage(later) for later in blocks[2:]),
            ],
        )

    def _block(self, stage: int, drop_path: float) -> PreNormBlock:
        dim, heads = self.arch.widths[stage], self.arch.heads[stage]
        attn = GlobalAttention(dim, heads, qkv_bias=False) if stage else OutlookAttention(dim, heads)
        return PreNormBlock(dim, attn, Mlp(dim, dim * self.arch.mlp_ratio), drop_path=drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'VOLO') -> StateDict:
        """From `network.i`, where i = 1 is the downsampling; positions at `network`'s size."""
        state_dict = rename(
            strip_classifier(
                state_dict,
                official=r'^network\.',
                classifier=(r'^norm\.', r'^head\.', r'^aux_head\.', r'^post_network\.', r'^cls_token$'),
            ),
            (r'^patch_embed\.conv\.([036])\.', lambda match: f'patch_embed.stem.{int(match[1]) // 3}.conv.'),
            (r'^patch_embed\.conv\.([147])\.', lambda match: f'patch_embed.stem.{int(match[1]) // 3}.norm.'),
            (r'^network\.0\.', 'stages.0.blocks.'),
            (r'^network\.1\.', 'stages.1.downsample.'),
            (r'^network\.(\d)\.', lambda match: f'stages.{int(match[1]) - 1}.blocks.'),
            (r'\.attn\.attn\.', '.attn.logits.'),
            (r'^pos_embed$', 'stages.1.pos_embed'),
        )
        own = dict(network.named_parameters())
        key = 'stages.1.pos_embed'
        if key in state_dict and key in own:
            table = state_dict[key]
            state_dict[key] = resize_positions(table.view(table.shape[-3:]), tuple(own[key].shape[:2]))
        return state_dict


VOLO.archs = {
    'd1': Arch(depths=(4, 4, 8, 2), widths=(192, 384, 384, 384), heads=(6, 12, 12, 12)),
    'd2': Arch(depths=(6, 4, 10, 4), widths=(256, 512, 512, 512), heads=(8, 16, 16, 16)),
    'd3': Arch(depths=(8, 8, 16, 4), widths=(256, 512, 512, 512), heads=(8, 16, 16, 16)),
    'd4': Arch(depths=(8, 8, 16, 4), widths=(384, 768, 768, 768), heads=(12, 16, 16, 16)),
    'd5': Arch(depths=(12, 12, 20, 4), widths=(384, 768, 768, 768), heads=(12, 16, 16, 16), stem=128, mlp_ratio=4),
}
