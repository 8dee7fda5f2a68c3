"""MambaOut: what is left of Mamba's block without its state space.

Paper: "MambaOut: Do We Really Need Mamba for Vision?", https://arxiv.org/abs/2405.07992.
Official code: https://github.com/yuweihao/MambaOut (Apache-2.0).

A gated convolution: one linear layer makes a gate and what it multiplies, and of the latter as many channels as the map
has pass a 7 x 7 depth-wise convolution, the others none. Blocks have no MLP; the branch is as wide as one. The authors
publish a classifier; the maps of its stages are returned as they are.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.layers import ConvDownsample, DepthwiseConv, DropPath, drop_path_rates
from denseformer.layers.channel_first import to_channels_last
from denseformer.layers.initializers import narrow
from denseformer.layers.linear import Linear
from denseformer.network import Source
from denseformer.registry import MODELS

EPS = 1e-6


class GatedConv(nn.Module):
    """A gate times linear and convolved channels, between two projections: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        hidden = int(8 / 3 * dim)
        self.widths = hidden, hidden - dim, dim
        self.fc1 = Linear(dim, 2 * hidden)
        self.conv = DepthwiseConv(dim, 7)
        self.fc2 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        gate, plain, mixed = self.fc1(x).split(self.widths, -1)
        return self.fc2(F.gelu(gate) * torch.cat([plain, self.conv(mixed)], -1))


class Block(nn.Module):
    """A gated convolution, pre-normalised and residual: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, EPS)
        self.attn = GatedConv(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.attn(self.norm1(x)))


class Stem(nn.Module):
    """Two strided convolutions, LayerNorm behind each: (B, in_channels, H, W) -> (B, ceil(H/4), ceil(W/4), dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, dim // 2, 3, 2, 1)
        self.norm1 = nn.LayerNorm(dim // 2, EPS)
        self.act = nn.GELU()
        self.conv2 = ConvDownsample(dim // 2, dim, bias=True, eps=EPS)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv1(to_channels_last(image)).permute(0, 2, 3, 1)  # (B, ceil(H/2), ceil(W/2), dim/2)
        return self.conv2(self.act(self.norm1(x)))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """Per stage: widths and depths."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]


@MODELS.register_module()
class MambaOut(Backbone):
    """MambaOut."""

    source = Source(
        paper='MambaOut: Do We Really Need Mamba for Vision?, https://arxiv.org/abs/2405.07992',
        code='https://github.com/yuweihao/MambaOut',
        license='Apache-2.0',
    )
    initial_weights = staticmethod(narrow)
    lora_layers = r'.+\.attn\.fc\d'

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'femto',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = ConvDownsample(widths[i - 1], widths[i], bias=True, eps=EPS) if i else None
            stages.append(Stage([Block(widths[i], rate) for rate in rates], downsample))
        self.assemble(patch_embed=Stem(self.in_channels, widths[0]), stages=stages)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'MambaOut') -> StateDict:
        """From `downsample_layers.i`, the first of which is the stem, and blocks `stages.i.j`."""
        return rename(
            strip_classifier(state_dict, official=r'^downsample_layers\.'),
            (r'^downsample_layers\.0\.conv2\.', 'patch_embed.conv2.reduction.'),
            (r'^downsample_layers\.0\.norm2\.', 'patch_embed.conv2.norm.'),
            (r'^downsample_layers\.0\.', 'patch_embed.'),
            (r'^downsample_layers\.(\d)\.conv\.', r'stages.\1.downsample.reduction.'),
            (r'^downsample_layers\.(\d)\.norm\.', r'stages.\1.downsample.norm.'),
            (r'^stages\.(\d)\.(\d+)\.norm\.', r'stages.\1.blocks.\2.norm1.'),
            (r'^stages\.(\d)\.(\d+)\.', r'stages.\1.blocks.\2.attn.'),
        )


MambaOut.archs = {
    'femto': Arch(widths=(48, 96, 192, 288), depths=(3, 3, 9, 3)),
    'kobe': Arch(widths=(48, 96, 192, 288), depths=(3, 3, 15, 3)),
    'tiny': Arch(widths=(96, 192, 384, 576), depths=(3, 3, 9, 3)),
    'small': Arch(widths=(96, 192, 384, 576), depths=(3, 4, 27, 3)),
    'base': Arch(widths=(128, 256, 512, 768), depths=(3, 4, 27, 3)),
}
