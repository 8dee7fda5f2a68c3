"""CroCo: the encoder of cross-view completion, with rotary positions in its second version.

Papers: "CroCo v2: Improved Cross-view Completion Pre-training for Stereo Matching and Optical Flow",
https://arxiv.org/abs/2211.10408; the first version: "CroCo: Self-Supervised Pre-training for 3D Vision Tasks by
Cross-View Completion", https://arxiv.org/abs/2210.10716.
Official code: https://github.com/naver/croco (CC BY-NC-SA 4.0, code and weights).

A vision transformer without a class token. One half of each head's channels is turned by the patch's row, the other by
its column, both counted from 0; the first version adds fixed sines of them instead. The decoder, which compares two
views, is no part of it.

Legend: B batch, H W the map in patches, C channels, N = H * W, d head width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.rotary import counted_rotation
from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Patches, Size, TokenEmbed, sine_positions
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.layers import Mlp, PreNormBlock, SelfAttention, drop_path_rates, resize_positions
from denseformer.network import Source
from denseformer.registry import MODELS

ROTARY_BASE = 100.0


class SinePositions(nn.Module):
    """Fixed sines of a grid's places, resized bicubically for other maps: (H, W) -> (1, N, C)."""

    def __init__(self, dim: int, grid: Size):
        super().__init__()
        self.grid = grid
        self.register_buffer('place', torch.zeros(dim), persistent=False)

    def forward(self, size: Size) -> Tensor:
        table = sine_positions(self.grid, len(self.place), self.place.device, self.place.dtype)[0, 1:]  # (h * w, C)
        return resize_positions(table.unflatten(0, self.grid), size, mode='bicubic').flatten(0, 1)[None]


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """rotary: whether positions turn queries and keys; else they are fixed sines."""

    rotary: bool = True


@MODELS.register_module()
class CroCo(PlainBackbone):
    """CroCo's encoder; the map of the last block alone passes through the final norm, as for the authors' DPT head.

    Args:
        The options are described in `PlainBackbone`; `image_size` decides nothing for rotary positions.
    """

    source = Source(
        paper='CroCo v2: Improved Cross-view Completion Pre-training for Stereo Matching and Optical Flow, '
        'https://arxiv.org/abs/2211.10408',
        code='https://github.com/naver/croco',
        license='CC-BY-NC-SA-4.0',
    )
    normed_outputs = 'last'

    def __init__(
        self, *, arch: str | Mapping[str, Any] = 'base', drop_path_rate: float = 0.0, **common: Unpack[PlainOptions]
    ):
        super().__init__(arch=arch, **common)
        dim = self.arch.width
        norm = partial(nn.LayerNorm, eps=1e-6)
        positions = None if self.arch.rotary else SinePositions(dim, self.grid)
        self.build(
            patch_embed=TokenEmbed(
                Patches(self.in_channels, dim, self.patch_size), dim, cls_token=False, positions=positions
            ),
            blocks=[
                PreNormBlock(
                    dim,
                    SelfAttention(dim, self.arch.heads),
                    Mlp(dim, self.arch.mlp_width),
                    drop_path=rate,
                    norm=norm,
                )
                for rate in drop_path_rates(drop_path_rate, [self.arch.blocks])[0]
            ],
            norm=norm(dim),
        )

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        """The rotation of queries and keys, in single precision at least, if positions are rotary."""
        if not self.arch.rotary:
            return ()
        dtype = torch.promote_types(x.dtype, torch.float32)
        return (counted_rotation(size, self.arch.width // self.arch.heads, ROTARY_BASE, x.device, dtype),)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' pre-trained pair of encoder and decoder, or their finished models."""
        state_dict = rename(
            drop(state_dict, r'^dec_', r'^decoder_embed\.', r'^prediction_head\.', r'^enc_pos_embed$'),
            (r'^enc_blocks\.', 'blocks.'),
            (r'^enc_norm\.', 'norm.'),
        )
        return PlainBackbone.remap_official_keys(state_dict, network)


CroCo.archs = {
    'base': Arch(width=768, blocks=12, heads=12),
    'large': Arch(width=1024, blocks=24, heads=16),
    'v1_base': Arch(width=768, blocks=12, heads=12, rotary=False),
}
