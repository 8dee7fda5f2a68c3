"""VAN: Visual Attention Network.

Paper: "Visual Attention Network", https://arxiv.org/abs/2202.09741.
Official code: https://github.com/Visual-Attention-Network/VAN-Segmentation (Apache-2.0; for commercial use the authors
ask to be contacted).

Attention without tokens that attend: a 21 x 21 depth-wise convolution, decomposed into a 5 x 5 one, a 7 x 7 one of
dilation 3 and a 1 x 1 one, gives every position and channel a weight that it is multiplied by. Blocks and embeddings
are normalised over the batch. Stages close with a LayerNorm whose output is returned and also feeds the next stage;
its epsilon is 1e-5, as in the authors' dense code, on which the published segmentation results rest (their
classification code has 1e-6).

Legend: B batch, H W map, C channels, d dilation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import (
    StateDict,
    as_channel_first_gains,
    linear_mlps_from_pointwise,
    rename,
    stages_from_numbers,
    strip_classifier,
)
from denseformer.layers import ConvEmbed, ConvMlp2d, DilatedDepthwiseConv, LayerNorm2d, PreNormBlock, drop_path_rates
from denseformer.layers.initializers import fan_out
from denseformer.network import Source
from denseformer.registry import MODELS


class LargeKernelAttention(nn.Module):
    """Weights from a large decomposed kernel, between two projections, added to the input: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj_in = nn.Conv2d(dim, dim, 1)
        self.act = nn.GELU()
        self.local = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.distant = DilatedDepthwiseConv(dim, 7, dilation=3)
        self.mix = nn.Conv2d(dim, dim, 1)
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        value = self.act(self.proj_in(x))
        weight = self.mix(self.distant(self.local(value)))
        return x + self.proj_out(value * weight)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """Per stage: widths, depths, and how many times wider than the stage its MLPs are."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    mlp_ratios: tuple[int, ...] = (8, 8, 4, 4)


@MODELS.register_module()
class VAN(Backbone):
    """Visual Attention Network."""

    source = Source(
        paper='Visual Attention Network, https://arxiv.org/abs/2202.09741',
        code='https://github.com/Visual-Attention-Network/VAN-Segmentation',
        license='Apache-2.0; the authors ask to be contacted for commercial use',
    )
    channels_last = False
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
        embed = partial(ConvEmbed, norm=nn.BatchNorm2d)
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = embed(widths[i - 1], widths[i], kernel_size=3, stride=2, padding=1) if i else None
            stages.append(Stage([self._block(i, rate) for rate in rates], downsample))
        self.assemble(
            patch_embed=embed(self.in_channels, widths[0], kernel_size=7, stride=4, padding=3),
            stages=stages,
            out_norms=[LayerNorm2d(width) for width in widths],
        )

    def _block(self, stage: int, drop_path: float) -> nn.Module:
        dim = self.arch.widths[stage]
        return PreNormBlock(
            dim,
            LargeKernelAttention(dim),
            ConvMlp2d(dim, dim * self.arch.mlp_ratios[stage]),
            drop_path=drop_path,
            norm=nn.BatchNorm2d,
            layer_scale=1e-2,
            channel_first=True,
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'VAN') -> StateDict:
        """The dense and the ImageNet checkpoints share one layout: patch_embed1, block1, norm1, ... from 1."""
        renamed = rename(
            strip_classifier(state_dict, official=r'^patch_embed1\.', classifier=(r'^head\.',)),
            *stages_from_numbers(),
            (r'\.attn\.proj_1\.', '.attn.proj_in.'),
            (r'\.attn\.proj_2\.', '.attn.proj_out.'),
            (r'\.spatial_gating_unit\.conv0\.', '.local.'),
            (r'\.spatial_gating_unit\.conv_spatial\.', '.distant.'),
            (r'\.spatial_gating_unit\.conv1\.', '.mix.'),
            (r'\.dwconv\.dwconv\.', '.dwconv.'),
            (r'\.layer_scale_([12])$', r'.gamma\1'),
        )
        return linear_mlps_from_pointwise(as_channel_first_gains(renamed))


VAN.archs = {
    'b0': Arch(widths=(32, 64, 160, 256), depths=(3, 3, 5, 2)),
    'b1': Arch(widths=(64, 128, 320, 512), depths=(2, 2, 4, 2)),
    'b2': Arch(widths=(64, 128, 320, 512), depths=(3, 3, 12, 3)),
    'b3': Arch(widths=(64, 128, 320, 512), depths=(3, 5, 27, 3)),
    'b4': Arch(widths=(64, 128, 320, 512), depths=(3, 6, 40, 3)),
    'b5': Arch(widths=(96, 192, 480, 768), depths=(3, 3, 24, 3)),
    'b6': Arch(widths=(96, 192, 384, 768), depths=(6, 6, 90, 6)),
}
