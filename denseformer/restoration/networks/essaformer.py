"""ESSAformer: Efficient Transformer for Hyperspectral Image Super-resolution.

Paper: https://arxiv.org/abs/2307.14010. Official code: https://github.com/Rexzhan/ESSAformer (Unlicense).

Features are enlarged and reduced in turn, three times up and twice down, with the same weights each time. Each time
tokens attend through the spectral correlation of their channels: queries and keys are squared after centring, so that
their product is a kernel and the sum over tokens is taken once, at a cost linear in their number.

The published file holds a whole pickled module; its state dict is what is loaded here.

Legend: B batch, H W map, N = H * W tokens, C channels, s scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.channel import spectral_attention
from denseformer.checkpoints.keys import StateDict, count, linear_from_pointwise, rename
from denseformer.layers import Linear
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationNetwork, RestorationOptions
from denseformer.restoration.networks.layers import conv3x3, shuffle_factors

DROP_RATE = 0.2


class SpectralAttention(nn.Module):
    """Linear attention by the spectral correlation of tokens: (B, N, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(spectral_attention(*self.qkv(x).chunk(3, -1)))


class Block(nn.Module):
    """Attention beside the input, mixed by three convolutions, residual: (B, H, W, C) -> the same.

    In training whole channels are dropped, as the authors do.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attn = SpectralAttention(dim)
        self.fc1 = Linear(2 * dim, 2 * dim)
        self.conv = conv3x3(2 * dim, 2 * dim)
        self.fc2 = Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        attended = self.attn(self.norm(x).flatten(1, 2)).view(x.shape)
        mixed = self.fc1(torch.cat((self.drop(attended), x), -1))
        mixed = self.drop(F.leaky_relu(mixed, 0.2, inplace=True))
        mixed = self.conv(mixed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H, W, 2C)
        return x + self.fc2(self.drop(F.leaky_relu(mixed, 0.2, inplace=True)))

    def drop(self, x: Tensor) -> Tensor:
        """Drop channels of a channel-last map."""
        return F.dropout2d(x.permute(0, 3, 1, 2), DROP_RATE).permute(0, 2, 3, 1) if self.training else x


class Resizer(nn.ModuleList):
    """Convolutions with pixel shuffling (`enlarge`) or its inverse between maps (B, H, W, C) of other sizes."""

    def __init__(self, dim: int, scale: int, enlarge: bool):
        factors = shuffle_factors(scale)
        super().__init__(conv3x3(dim, dim * f**2 if enlarge else dim // f**2) for f in factors)
        self.factors = factors
        self.enlarge = enlarge

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # (B, C, H, W)
        for conv, factor in zip(self, self.factors, strict=True):
            x = F.pixel_shuffle(conv(x), factor) if self.enlarge else F.pixel_unshuffle(conv(x), factor)
        return x.permute(0, 2, 3, 1)  # (B, H', W', C)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """dim: channels; a multiple of 4 for scales 2, 4 and 8, of 9 for scale 3."""

    dim: int


@MODELS.register_module()
class ESSAformer(RestorationNetwork):
    """ESSAformer, for hyperspectral images: `in_channels` is the number of bands, 128 for the Chikusei scene.

    The arguments are described in `RestorationNetwork`.
    """

    source = Source(
        paper='ESSAformer: Efficient Transformer for Hyperspectral Image Super-resolution, '
        'https://arxiv.org/abs/2307.14010',
        code='https://github.com/Rexzhan/ESSAformer',
        license='Unlicense',
    )
    scales = (2, 3, 4, 8)
    default_channels = 128
    tile_overlap = 16

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        **common: Unpack[RestorationOptions],
    ):
        super().__init__(arch=arch, **common)
        dim = self.arch.dim
        multiple = 9 if self.scale == 3 else 4
        if dim % multiple:
            raise ValueError(
                f"ESSAformer x{self.scale} needs a dim divisible by {multiple}, e.g. arch='narrow', not {dim}."
            )
        self.conv_first = conv3x3(self.in_channels, dim)
        self.enlarge = Resizer(dim, self.scale, enlarge=True)
        self.reduce = Resizer(dim, self.scale, enlarge=False)
        self.large_block = Block(dim)
        self.small_block = Block(dim)
        self.conv_last = conv3x3(dim, self.in_channels)

    def restore(self, image: Tensor) -> Tensor:
        small = self.conv_first(image.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1)  # (B, H, W, C)
        large = self.run(self.large_block, self.run(self.enlarge, small))  # (B, sH, sW, C)
        for _ in range(2):
            small = self.run(self.small_block, self.run(self.reduce, large) + small)
            large = self.run(self.large_block, self.run(self.enlarge, small) + large)
        return self.conv_last(large.permute(0, 3, 1, 2))

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """From `blockup`, where convolutions are numbered among activations."""
        return linear_from_pointwise(rename(state_dict, *OFFICIAL_NAMES))

    @classmethod
    def infer_options(cls, state_dict: StateDict) -> dict[str, Any] | None:
        weights = cls.remap_official_keys(state_dict)
        if 'large_block.attn.qkv.weight' not in weights:
            return None
        dim, channels = weights['conv_first.weight'].shape[:2]
        thrice = len(weights['enlarge.0.bias']) == 9 * dim
        scale = 3 if thrice else 2 ** count(weights, r'enlarge\.(\d)\.')
        return {'arch': cls.name_arch({'dim': dim}), 'scale': scale, 'in_channels': channels}


OFFICIAL_NAMES = (
    (r'^blockup\.convupsample\.(\d)\.', lambda match: f'enlarge.{int(match[1]) // 2}.'),
    (r'^blockup\.convdownsample\.(\d)\.', lambda match: f'reduce.{int(match[1]) // 2}.'),
    (r'^blockup\.convup\.', 'large_block.'),
    (r'^blockup\.convdown\.', 'small_block.'),
    (r'\.conv[ud]\.0\.', '.fc1.'),
    (r'\.conv[ud]\.3\.', '.conv.'),
    (r'\.conv[ud]\.6\.', '.fc2.'),
    (r'\.attn\.lnqkv\.', '.attn.qkv.'),
    (r'\.attn\.ln\.', '.attn.proj.'),
)

ESSAformer.archs = {'base': Arch(dim=256), 'narrow': Arch(dim=72)}
