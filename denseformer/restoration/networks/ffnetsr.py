"""FFNetSR: super-resolution by feed-forward blocks of convolutions, without normalization.

Paper: "MetaMixer Is All You Need", https://arxiv.org/abs/2406.02021.
Official code: https://github.com/ysj9909/FFNet, super_resolution (Apache-2.0).

A block mixes positions by two 3 x 3 depth-wise convolutions with a GELU between them, behind a 1 x 1 one, and channels
by an MLP behind such a convolution. What the network adds to is the image with each pixel repeated. It was published
for scale 2.

Legend: B batch, H W map, C channels, s scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.checkpoints.keys import StateDict, count, linear_from_pointwise, rename
from denseformer.layers import DepthwiseConv, Mlp, Pointwise
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationNetwork, RestorationOptions
from denseformer.restoration.networks.layers import conv3x3, convolve


class TokenMixer(nn.Module):
    """A 1 x 1 convolution, then a feed-forward network of two depth-wise ones: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = Pointwise(dim, dim)
        self.fc1 = DepthwiseConv(dim)
        self.act = nn.GELU()
        self.fc2 = DepthwiseConv(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(self.proj(x))))


class ChannelMixer(Mlp):
    """A depth-wise convolution, then an MLP: (B, H, W, C) -> the same."""

    linear = Pointwise

    def __init__(self, dim: int, hidden: int):
        super().__init__(dim, hidden)
        self.conv = DepthwiseConv(dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.conv(x))


class Block(nn.Module):
    """Token and channel mixer, each residual: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, expansion: int):
        super().__init__()
        self.attn = TokenMixer(dim)
        self.mlp = ChannelMixer(dim, dim * expansion)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.mlp(x)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """expansion: hidden width of the MLPs over `dim`."""

    blocks: int
    dim: int = 96
    expansion: int = 2


@MODELS.register_module()
class FFNetSR(RestorationNetwork):
    """FFNetSR. The arguments are described in `RestorationNetwork`."""

    source = Source(
        paper='MetaMixer Is All You Need, https://arxiv.org/abs/2406.02021',
        code='https://github.com/ysj9909/FFNet',
        license='Apache-2.0',
    )
    default_scale = 2
    tile_overlap = 32

    def __init__(self, *, arch: str | Mapping[str, Any] = 'light', **common: Unpack[RestorationOptions]):
        super().__init__(arch=arch, **common)
        dim = self.arch.dim
        self.conv_first = conv3x3(self.in_channels, dim)
        self.blocks = nn.ModuleList(Block(dim, self.arch.expansion) for _ in range(self.arch.blocks))
        self.conv_last = conv3x3(dim, self.in_channels * self.scale**2)

    def restore(self, image: Tensor) -> Tensor:
        x = convolve(self.conv_first, image.permute(0, 2, 3, 1))  # (B, H, W, dim)
        for block in self.blocks:
            x = self.run(block, x)
        details = self.conv_last(x.permute(0, 3, 1, 2))  # (B, C * s * s, H, W)
        return F.pixel_shuffle(details + image.repeat_interleave(self.scale**2, 1), self.scale)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """From `proj`, `body` and `conv_bef_up`; 1 x 1 convolutions become linear layers."""
        places = {'0': 'proj', '1': 'fc1', '3': 'fc2'}, {'0': 'conv', '1': 'fc1', '3': 'fc2'}
        renamed = rename(
            state_dict,
            (r'^proj\.', 'conv_first.'),
            (r'^conv_bef_up\.', 'conv_last.'),
            (r'^body\.(\d+)\.token_mixer\.([013])\.', lambda m: f'blocks.{m[1]}.attn.{places[0][m[2]]}.'),
            (r'^body\.(\d+)\.channel_mixer\.([013])\.', lambda m: f'blocks.{m[1]}.mlp.{places[1][m[2]]}.'),
        )
        return linear_from_pointwise(renamed, r'\.(attn\.proj|mlp\.fc[12])\.weight$')

    @classmethod
    def infer_options(cls, state_dict: StateDict) -> dict[str, Any] | None:
        weights = cls.remap_official_keys(state_dict)
        hidden, first = weights.get('blocks.0.mlp.fc1.weight'), weights.get('conv_first.weight')
        if hidden is None or first is None or 'blocks.0.attn.fc2.weight' not in weights:
            return None
        dim, in_channels = first.shape[:2]
        arch = {'blocks': count(weights, r'blocks\.(\d+)\.'), 'dim': dim, 'expansion': hidden.shape[0] // dim}
        scale = round((weights['conv_last.weight'].shape[0] / in_channels) ** 0.5)
        return {'arch': cls.name_arch(arch), 'scale': scale, 'in_channels': in_channels}


FFNetSR.archs = {'light': Arch(blocks=36), 'base': Arch(blocks=48)}
