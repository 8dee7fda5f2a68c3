"""SpectFormer: global filters on fine maps, attention on coarse ones.

Paper: "SpectFormer: Frequency and Attention is what you need in a Vision Transformer",
https://arxiv.org/abs/2304.06446.
Official code: https://github.com/badripatro/SpectFormers (no licence given), for classification only; this is its
hierarchical network.

In the first two stages the Fourier transform of the map is multiplied by a learned spectrum, in the last two all tokens
attend to all. The norm at the end of a stage is part of the network: what it returns is the output and feeds the next
stage; the authors apply the last one after a class-attention layer, which maps have no use for.

The authors' spectra fit images of 224 x 224 alone. Here they are resized bilinearly for others.

`SpectralTransformer` is the layout that SVT shares.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.spectral import global_filter, resize_spectrum
from denseformer.backbones.base import Backbone, BackboneOptions, Stage, drop_path_rates
from denseformer.checkpoints.keys import StateDict, join, rename, stages_from_numbers, strip_classifier
from denseformer.layers import ConvDownsample, ConvMlp, OverlapPatchEmbed, PreNormBlock
from denseformer.layers.global_attention import GlobalAttention
from denseformer.layers.initializers import fan_out
from denseformer.layers.stem import DeepStem
from denseformer.network import Source
from denseformer.registry import MODELS

MLP_RATIOS = (8, 8, 4, 4)
norm = partial(nn.LayerNorm, eps=1e-6)


class SpectralGate(nn.Module):
    """A global filter: (B, H, W, C) -> the same. side: of the square map that its spectrum is made for."""

    def __init__(self, dim: int, side: int):
        super().__init__()
        self.spectrum = nn.Parameter(0.02 * torch.randn(dim, side, side // 2 + 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        return global_filter(x.permute(0, 3, 1, 2), self.spectrum).permute(0, 2, 3, 1)


class PatchEmbed(OverlapPatchEmbed):
    """Three convolutions, a strided one, LayerNorm: (B, C, H, W) -> (B, ceil(H/4), ceil(W/4), dim)."""

    def __init__(self, in_channels: int, hidden: int, dim: int):
        super().__init__(hidden, dim, 3, 2)
        self.stem = DeepStem(in_channels, hidden)

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(self.stem(image))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """stem: channels of the first three convolutions; widths, depths, heads: of the stages."""

    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]


class SpectralTransformer(Backbone):
    """A stage's blocks mix tokens by what `make_mixer` returns, which a subclass implements.

    Args:
        image_size: side of the square images that what depends on frequency or position is made for.
        The others are described in `Backbone`.
    """

    norm_feeds_next = True
    no_weight_decay = ('norm', 'bias')
    initial_weights = staticmethod(fan_out)

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
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            blocks = [self._block(i, image_size // self.strides[i], rate) for rate in rates]
            stages.append(Stage(blocks, ConvDownsample(widths[i - 1], widths[i], bias=True) if i else None))
        self.assemble(
            patch_embed=PatchEmbed(self.in_channels, self.arch.stem, widths[0]),
            stages=stages,
            out_norms=[norm(width) for width in widths],
        )

    def make_mixer(self, stage: int, side: int) -> nn.Module:
        """The token mixer of a block on maps (B, H, W, C); side: of the square map at `image_size`, in tokens."""
        raise NotImplementedError

    def make_attention(self, stage: int) -> nn.Module:
        return GlobalAttention(self.arch.widths[stage], self.arch.heads[stage])

    def _block(self, stage: int, side: int, drop_path: float) -> PreNormBlock:
        dim = self.arch.widths[stage]
        mlp = ConvMlp(dim, dim * MLP_RATIOS[stage])
        return PreNormBlock(dim, self.make_mixer(stage, side), mlp, norm=norm, drop_path=drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Backbone) -> StateDict:
        """From `patch_embed{n}`, `block{n}` and `norm{n}` with n = 1 .. 4."""
        state_dict = rename(
            strip_classifier(
                state_dict, official=r'^block1\.', classifier=(r'^head\.', r'^aux_head\.', r'^post_network\.')
            ),
            *stages_from_numbers(),
            (r'^patch_embed\.conv\.([036])\.', lambda match: f'patch_embed.stem.{int(match[1]) // 3}.conv.'),
            (r'^patch_embed\.conv\.([147])\.', lambda match: f'patch_embed.stem.{int(match[1]) // 3}.norm.'),
            (r'\.downsample\.proj\.', '.downsample.reduction.'),
            (r'\.mlp\.dwconv\.dwconv\.', '.mlp.dwconv.'),
        )
        return join(state_dict, ('q', 'kv'), 'qkv')


@MODELS.register_module()
class SpectFormer(SpectralTransformer):
    """SpectFormer, with global filters in the first two stages. The arguments are those of `SpectralTransformer`."""

    source = Source(
        paper='SpectFormer: Frequency and Attention is what you need in a Vision Transformer, '
        'https://arxiv.org/abs/2304.06446',
        code='https://github.com/badripatro/SpectFormers',
        license='none given',
    )

    def make_mixer(self, stage: int, side: int) -> nn.Module:
        return SpectralGate(self.arch.widths[stage], side) if stage < 2 else self.make_attention(stage)

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
