"""The layout of the Pyramid Vision Transformer, which other networks fill with attention of their own.

Paper: "Pyramid Vision Transformer: A Versatile Backbone for Dense Prediction without Convolutions",
https://arxiv.org/abs/2102.12122.

Four stages begin with patches that do not overlap (4 x 4 pixels, then 2 x 2 tokens; what does not fill a patch is left
out) and positions that are learned for a square image and interpolated bilinearly for others. The maps are returned
without a norm.

Legend: B batch, H W map, C channels, h heads.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from denseformer.backbones.base import Backbone, Stage
from denseformer.checkpoints.keys import StateDict, join, rename, stages_from_numbers, strip_classifier
from denseformer.layers import Mlp, PatchDownsample, PatchEmbed, PreNormBlock, drop_path_rates, resize_positions


class PositionedStage(Stage):
    """A stage that adds learned positions, (side, side, C), to the map its blocks are given."""

    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None, *, dim: int, side: int):
        super().__init__(blocks, downsample)
        self.pos_embed = nn.Parameter(torch.empty(side, side, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def embed(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        return x + resize_positions(self.pos_embed, (x.shape[1], x.shape[2]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for block in self.blocks:
            x = self.run(block, x)
        return x


@dataclass(frozen=True, kw_only=True)
class Arch:
    """mlp_ratios: hidden widths of the MLPs over the stage's."""

    depths: tuple[int, ...]
    heads: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 320, 512)
    mlp_ratios: tuple[int, ...] = (8, 8, 4, 4)


class PVTBase(Backbone):
    """A subclass implements `make_attention`; its constructor sets what that needs and then calls `build`."""

    no_weight_decay: ClassVar[tuple[str, ...]] = ()

    def make_attention(self, stage: int, side: int) -> nn.Module:
        """Attention on maps (B, H, W, C) of `stage`; side: in tokens, of the square map that positions are made for."""
        raise NotImplementedError

    def build(self, image_size: int, drop_path_rate: float) -> None:
        rates = drop_path_rates(drop_path_rate, self.arch.depths)
        self.assemble(
            patch_embed=PatchEmbed(self.in_channels, self.arch.widths[0], pad=False),
            stages=[self._stage(i, image_size // self.strides[i], rates[i]) for i in range(len(rates))],
        )

    def _stage(self, stage: int, side: int, rates: list[float]) -> Stage:
        widths = self.arch.widths
        width, hidden = widths[stage], widths[stage] * self.arch.mlp_ratios[stage]
        norm = partial(nn.LayerNorm, eps=1e-6)
        blocks = [
            PreNormBlock(width, self.make_attention(stage, side), Mlp(width, hidden), norm=norm, drop_path=rate)
            for rate in rates
        ]
        downsample = PatchDownsample(widths[stage - 1], width, 2, pad=False) if stage else None
        return PositionedStage(blocks, downsample, dim=width, side=side)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Backbone) -> StateDict:
        """From `patch_embed1`, `pos_embed1` and `block1`, which make the first stage; positions at `network`'s size."""
        state_dict = rename(
            strip_classifier(state_dict, official=r'^block1\.'),
            *stages_from_numbers(),
            (r'^pos_embed(\d)$', lambda match: f'stages.{int(match[1]) - 1}.pos_embed'),
        )
        own = dict(network.named_parameters())
        for key in [key for key in state_dict if key.endswith('.pos_embed') and key in own]:
            table = state_dict[key]
            side = round(table.shape[-2] ** 0.5) if table.shape[0] == 1 else table.shape[0]
            state_dict[key] = resize_positions(table.view(side, side, -1), tuple(own[key].shape[:2]))
        return join(state_dict, ('q', 'kv'), 'qkv')
