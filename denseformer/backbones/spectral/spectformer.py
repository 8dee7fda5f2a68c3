"""SpectFormer: global filters on fine maps, attention on coarse ones.

Paper: "SpectFormer: Frequency and Attention is what you need in a Vision Transformer",
https://arxiv.org/abs/2304.06446.
Official code: https://github.com/badripatro/SpectFormers (no licence given), for classification only; this is its
hierarchical network.

In the first two stages the Fourier transform of the map is multiplied by a learned spectrum, in the last two all tokens
attend to all, in the layout of PVT v2. The authors apply the last norm after a class-attention layer, which maps have
no use for.

The authors' spectra fit images of 224 x 224 alone. Here they are resized bilinearly for others.

`SpectralTransformer` is the layout that SVT shares.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.spectral import global_filter, resize_spectrum
from denseformer.backbones.base import Backbone, BackboneOptions
from denseformer.backbones.global_attention import pvt_v2
from denseformer.backbones.global_attention.pvt_v2 import PVTv2Base
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import OverlapPatchEmbed
from denseformer.layers.stem import DeepStem
from denseformer.network import Source
from denseformer.registry import MODELS


class SpectralGate(nn.Module):
    """A global filter: (B, H, W, C) -> the same. side: of the square map that its spectrum is made for."""

    def __init__(self, dim: int, side: int):
        super().__init__()
        self.spectrum = nn.Parameter(nn.init.normal_(torch.empty(dim, side, side // 2 + 1, 2), std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        return global_filter(x.permute(0, 3, 1, 2), self.spectrum).permute(0, 2, 3, 1)


class DeepPatchEmbed(OverlapPatchEmbed):
    """Three convolutions, a strided one, LayerNorm: (B, C, H, W) -> (B, ceil(H/4), ceil(W/4), dim)."""

    def __init__(self, in_channels: int, hidden: int, dim: int):
        super().__init__(hidden, dim, 3, 2)
        self.stem = DeepStem(in_channels, hidden)

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(self.stem(image))


@dataclass(frozen=True, kw_only=True)
class Arch(pvt_v2.Arch):
    """stem: channels of the first three convolutions."""

    stem: int


class SpectralTransformer(PVTv2Base):
    """PVT v2's layout behind a deep stem, where what depends on frequency or position is made for one image size.

    Args:
        image_size: side of the square images that it is made for.
        The others are described in `Backbone`.
    """

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small',
        image_size: int = 224,
        drop_path_rate: float = 0.1,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        if image_size < 32:
            raise ValueError(f'image_size must be at least 32, got {image_size}.')
        self.image_size = image_size
        self.build(drop_path_rate)

    def make_patch_embed(self) -> nn.Module:
        return DeepPatchEmbed(self.in_channels, self.arch.stem, self.arch.widths[0])

    def side(self, stage: int) -> int:
        """The side of a stage's map at `image_size`, in tokens."""
        return self.image_size // self.strides[stage]

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Backbone) -> StateDict:
        """From PVT v2's names, and `conv`, which is the stem."""
        return rename(
            PVTv2Base.remap_official_keys(state_dict, network),
            (r'^patch_embed\.conv\.([036])\.', lambda match: f'patch_embed.stem.{int(match[1]) // 3}.conv.'),
            (r'^patch_embed\.conv\.([147])\.', lambda match: f'patch_embed.stem.{int(match[1]) // 3}.norm.'),
        )


@MODELS.register_module()
class SpectFormer(SpectralTransformer):
    """SpectFormer, with global filters in the first two stages. The arguments are those of `SpectralTransformer`."""

    source = Source(
        paper='SpectFormer: Frequency and Attention is what you need in a Vision Transformer, '
        'https://arxiv.org/abs/2304.06446',
        code='https://github.com/badripatro/SpectFormers',
        license='none given',
    )

    def make_mixer(self, stage: int) -> nn.Module:
        return self.make_attention(stage) if stage > 1 else SpectralGate(self.arch.widths[stage], self.side(stage))

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'SpectFormer') -> StateDict:
        """From `SpectralTransformer`'s names; spectra (h, w, C, 2) become (C, h, w, 2) at `network`'s size."""
        state_dict = SpectralTransformer.remap_official_keys(state_dict, network)
        official = [key for key in state_dict if key.endswith('.attn.complex_weight')]
        for key in official:
            state_dict[key.replace('complex_weight', 'spectrum')] = state_dict.pop(key).permute(2, 0, 1, 3)
        own = dict(network.named_parameters())
        for key in [key for key in state_dict if key.endswith('.attn.spectrum') and key in own]:
            state_dict[key] = resize_spectrum(state_dict[key], tuple(own[key].shape[1:3]))
        return state_dict


ARCHS = {
    'small': Arch(stem=32, widths=(64, 128, 320, 448), depths=(3, 4, 6, 3), heads=(2, 4, 10, 14)),
    'base': Arch(stem=64, widths=(64, 128, 320, 512), depths=(3, 4, 12, 3), heads=(2, 4, 10, 16)),
    'large': Arch(stem=64, widths=(96, 192, 384, 512), depths=(3, 6, 18, 3), heads=(3, 6, 12, 16)),
}
SpectFormer.archs = ARCHS
