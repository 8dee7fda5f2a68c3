"""PoolFormer: a transformer whose tokens are mixed by pooling.

Paper: "MetaFormer Is Actually What You Need for Vision", https://arxiv.org/abs/2111.11418.
Official code: https://github.com/sail-sg/poolformer (Apache-2.0).

The token mixer is the mean over 3 x 3 positions, of which those outside the map do not count, minus the position
itself; it has no parameter. Normalisation is over all channels and positions of an image. The stem pads its 7 x 7
patches by two pixels, so that a side of 97 gives 24 patches, not 25; embeddings have no normalisation.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import (
    StateDict,
    as_channel_first_gains,
    linear_mlps_from_pointwise,
    rename,
    strip_classifier,
)
from denseformer.layers import ConvEmbed, ImageNorm, Mlp2d, PreNormBlock, drop_path_rates
from denseformer.layers.initializers import narrow
from denseformer.network import Source
from denseformer.registry import MODELS


class Pooling(nn.Module):
    """Mean over 3 x 3 positions minus the position: (B, C, H, W) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False) - x


def narrow_mlps(module: nn.Module) -> None:
    """The rule of initial weights: those of MLPs narrow, PyTorch's own elsewhere."""
    if isinstance(module, Mlp2d):
        module.apply(narrow)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """layer_scale: where the gains on the residual branches start."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    layer_scale: float


@MODELS.register_module()
class PoolFormer(Backbone):
    """PoolFormer."""

    source = Source(
        paper='MetaFormer Is Actually What You Need for Vision, https://arxiv.org/abs/2111.11418',
        code='https://github.com/sail-sg/poolformer',
        license='Apache-2.0',
    )
    channels_last = False
    no_weight_decay = ()
    lora_layers = r'.+\.mlp\.fc\d'
    initial_weights = staticmethod(narrow_mlps)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 's12',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = ConvEmbed(widths[i - 1], widths[i], kernel_size=3, stride=2, padding=1) if i else None
            stages.append(Stage([self._block(widths[i], rate) for rate in rates], downsample))
        self.assemble(
            patch_embed=ConvEmbed(self.in_channels, widths[0], kernel_size=7, stride=4, padding=2),
            stages=stages,
            out_norms=[ImageNorm(width) for width in widths],
        )

    def _block(self, dim: int, drop_path: float) -> nn.Module:
        return PreNormBlock(
            dim,
            Pooling(),
            Mlp2d(dim, 4 * dim),
            drop_path=drop_path,
            norm=ImageNorm,
            layer_scale=self.arch.layer_scale,
            channel_first=True,
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'PoolFormer') -> StateDict:
        """From `network.i`, where stages have even numbers and the embeddings that lead to the next one odd ones."""
        renamed = rename(
            strip_classifier(state_dict, official=r'^network\.'),
            (r'^network\.([135])\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.'),
            (r'^network\.([0246])\.', lambda match: f'stages.{int(match[1]) // 2}.blocks.'),
            (r'^norm([0246])\.', lambda match: f'out_norms.{int(match[1]) // 2}.'),
            (r'\.layer_scale_([12])$', r'.gamma\1'),
        )
        return linear_mlps_from_pointwise(as_channel_first_gains(renamed))


PoolFormer.archs = {
    's12': Arch(widths=(64, 128, 320, 512), depths=(2, 2, 6, 2), layer_scale=1e-5),
    's24': Arch(widths=(64, 128, 320, 512), depths=(4, 4, 12, 4), layer_scale=1e-5),
    's36': Arch(widths=(64, 128, 320, 512), depths=(6, 6, 18, 6), layer_scale=1e-6),
    'm36': Arch(widths=(96, 192, 384, 768), depths=(6, 6, 18, 6), layer_scale=1e-6),
    'm48': Arch(widths=(96, 192, 384, 768), depths=(8, 8, 24, 8), layer_scale=1e-6),
}
