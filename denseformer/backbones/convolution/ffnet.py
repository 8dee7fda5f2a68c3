"""FFNet: a network of feed-forward blocks, in which convolution takes the place of attention.

Paper: "MetaMixer Is All You Need", https://arxiv.org/abs/2406.02021.
Official code: https://github.com/ysj9909/FFNet (Apache-2.0).

Both halves of a block are feed-forward networks: one whose two layers are depth-wise convolutions mixes positions, the
other mixes channels after one such convolution. 7 x 7 convolutions are trained with a 3 x 3 one beside them, each
followed by BatchNorm; in eval mode the two are merged into one kernel as they are applied, whatever is stored. Blocks
have no normalisation but BatchNorm, which follows its convolution.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import CONV_NORM, StateDict, linear_mlps_from_pointwise, rename, strip_classifier
from denseformer.layers import (
    ConvNorm,
    ConvNormStem,
    DepthwiseConv2d,
    LayerNorm2d,
    Mlp2d,
    PreNormBlock,
    TwinConv,
    drop_path_rates,
)
from denseformer.layers.initializers import narrow
from denseformer.network import Source
from denseformer.registry import MODELS


class TokenMixer(nn.Module):
    """1 x 1 convolution, then a feed-forward network of two depth-wise ones: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        self.proj = ConvNorm(dim, dim)
        self.fc1 = position_layer(dim, kernel_size)
        self.act = nn.GELU()
        self.fc2 = position_layer(dim, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(self.proj(x))))


def position_layer(dim: int, kernel_size: int) -> nn.Module:
    """A depth-wise convolution of the token mixer: small kernels stand alone and have no BatchNorm."""
    if kernel_size == 7:
        return TwinConv(dim, dim)
    return DepthwiseConv2d(dim, kernel_size)


class ChannelMixer(Mlp2d):
    """Depth-wise convolution, then a feed-forward network on each position: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, hidden: int, kernel_size: int):
        super().__init__(dim, hidden)
        self.conv = TwinConv(dim, dim) if kernel_size == 7 else ConvNorm(dim, dim, kernel_size, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.conv(x))


class Downsample(nn.Module):
    """Strided depth-wise convolution that widens, then a residual 1 x 1 one: (B, C, H, W) -> (B, 2C, H/2, W/2)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.reduction = TwinConv(dim, out_dim, stride=2)
        self.norm = nn.BatchNorm2d(out_dim)
        self.conv = nn.Conv2d(out_dim, out_dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduction(x)
        return x + self.conv(self.norm(x))


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """channel_kernel: of the channel mixers; mixer_kernels: of the token mixers, per stage; layer_scale: where gains on
    the branches start, None for none."""

    channel_kernel: int
    mixer_kernels: tuple[int, ...] = (3, 3, 7, 7)
    layer_scale: float | None = None


@MODELS.register_module()
class FFNet(Backbone):
    """FFNet."""

    source = Source(
        paper='MetaMixer Is All You Need, https://arxiv.org/abs/2406.02021',
        code='https://github.com/ysj9909/FFNet',
        license='Apache-2.0',
    )
    channels_last = False
    no_weight_decay = ('norm', 'bias')
    initial_weights = staticmethod(narrow)
    input_size = 256

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = '1',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            blocks = [self._block(i, rate) for rate in rates]
            stages.append(Stage(blocks, Downsample(widths[i - 1], widths[i]) if i else None))
        self.assemble(
            patch_embed=ConvNormStem(self.in_channels, (64, widths[0]), act=nn.GELU),
            stages=stages,
            out_norms=[LayerNorm2d(width, 1e-6) for width in widths],
        )

    def _block(self, stage: int, drop_path: float) -> nn.Module:
        dim = self.arch.widths[stage]
        return PreNormBlock(
            dim,
            TokenMixer(dim, self.arch.mixer_kernels[stage]),
            ChannelMixer(dim, 3 * dim, self.arch.channel_kernel),
            drop_path=drop_path,
            norm=nn.Identity,
            layer_scale=self.arch.layer_scale,
            channel_first=True,
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'FFNet') -> StateDict:
        """From `stages.i.j`, where j = 0 is the downsampling in all stages but the first."""
        renamed = rename(
            strip_classifier(state_dict, official=r'^stages\.\d+\.\d+\.'),
            (r'^patch_embed\.2\.', 'patch_embed.1.'),
            (r'^stages\.0\.(\d+)\.', r'stages.0.blocks.\1.'),
            (r'^stages\.(\d+)\.0\.proj\.0\.', r'stages.\1.downsample.reduction.'),
            (r'^stages\.(\d+)\.0\.proj\.1\.conv\.c\.', r'stages.\1.downsample.conv.'),
            (r'^stages\.(\d+)\.0\.proj\.1\.conv\.bn\.', r'stages.\1.downsample.norm.'),
            (r'^stages\.(\d+)\.(\d+)\.', lambda match: f'stages.{match[1]}.blocks.{int(match[2]) - 1}.'),
            (r'\.token_mixer\.0\.layer_scale$', '.gamma1'),
            (r'\.channel_mixer\.layer_scale$', '.gamma2'),
            (r'\.token_mixer\.0\.main\.fc\.', '.attn.proj.'),
            (r'\.token_mixer\.0\.main\.conv([12])\.', r'.attn.fc\1.'),
            (r'\.channel_mixer\.main\.', '.mlp.'),
            (r'\.(conv|fc1|fc2|reduction)\.conv\.(c|bn)\.', r'.\1.large.\2.'),
            (r'\.(conv|fc1|fc2|reduction)\.conv1\.(c|bn)\.', r'.\1.small.\2.'),
            *CONV_NORM,
            (r'^norm(\d)\.', r'out_norms.\1.'),
        )
        return linear_mlps_from_pointwise(renamed)


FFNet.archs = {
    '1': Arch(width=80, depths=(2, 2, 8, 2), channel_kernel=3),
    '2': Arch(width=88, depths=(3, 3, 15, 3), channel_kernel=7),
    '3': Arch(width=96, depths=(4, 4, 22, 5), channel_kernel=7, layer_scale=1.0),
    '4': Arch(width=128, depths=(4, 4, 27, 3), channel_kernel=7, layer_scale=1.0),
}
