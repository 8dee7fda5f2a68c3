"""The layout of the Pyramid Vision Transformer v2, which other networks fill with token mixers of their own.

Paper: "PVT v2: Improved Baselines with Pyramid Vision Transformer", https://arxiv.org/abs/2106.13797.

Patches overlap, MLPs hold a depth-wise convolution, which does without positions, and the norm at the end of a stage is
part of the network: what it returns is the output and feeds the next stage.

Legend: B batch, H W map, C channels.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import nn

from denseformer.backbones.base import Backbone, Stage
from denseformer.checkpoints.keys import StateDict, join, rename, stages_from_numbers, strip_classifier
from denseformer.layers import (
    ConvDownsample,
    ConvMlp,
    GlobalAttention,
    OverlapPatchEmbed,
    PreNormBlock,
    drop_path_rates,
)
from denseformer.layers.initializers import fan_out

norm = partial(nn.LayerNorm, eps=1e-6)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """widths, depths, heads: of the stages."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]


class PVTv2Base(Backbone):
    """A subclass implements `make_mixer`; its constructor sets what that needs and then calls `build`."""

    mlp_ratios: ClassVar[tuple[int, ...]] = (8, 8, 4, 4)
    """Hidden widths of the MLPs over the stage's."""
    norm_feeds_next = True
    no_weight_decay: ClassVar[tuple[str, ...]] = ('norm', 'bias')
    initial_weights = staticmethod(fan_out)

    def make_mixer(self, stage: int) -> nn.Module:
        """The token mixer of a block of `stage`, on maps (B, H, W, C)."""
        raise NotImplementedError

    def make_attention(self, stage: int) -> nn.Module:
        """Attention of all tokens to all, for stages that have no mixer of their own."""
        return GlobalAttention(self.arch.widths[stage], self.arch.heads[stage])

    def make_patch_embed(self) -> nn.Module:
        return OverlapPatchEmbed(self.in_channels, self.arch.widths[0])

    def build(self, drop_path_rate: float) -> None:
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            blocks = [self._block(i, rate) for rate in rates]
            stages.append(Stage(blocks, ConvDownsample(widths[i - 1], widths[i], bias=True) if i else None))
        self.assemble(patch_embed=self.make_patch_embed(), stages=stages, out_norms=[norm(width) for width in widths])

    def _block(self, stage: int, drop_path: float) -> PreNormBlock:
        dim = self.arch.widths[stage]
        mlp = ConvMlp(dim, dim * self.mlp_ratios[stage])
        return PreNormBlock(dim, self.make_mixer(stage), mlp, norm=norm, drop_path=drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Backbone) -> StateDict:
        """From `patch_embed{n}`, `block{n}` and `norm{n}` with n = 1 .. 4, without class attention."""
        return join(own_names(state_dict), ('q', 'kv'), 'qkv')


def own_names(state_dict: StateDict) -> StateDict:
    """The authors' names as ours; queries, and keys with values, stay two layers."""
    classifier = (r'^head\.', r'^aux_head\.', r'^post_network\.')
    return rename(
        strip_classifier(state_dict, official=r'^block1\.', classifier=classifier),
        *stages_from_numbers(),
        (r'\.downsample\.proj\.', '.downsample.reduction.'),
        (r'\.mlp\.dwconv\.dwconv\.', '.mlp.dwconv.'),
    )
