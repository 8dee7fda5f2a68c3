"""SMARTIES: a vision transformer for images of any sensor, whose bands are embedded by their wavelengths.

Paper: "SMARTIES: Spectrum-Aware Multi-Sensor Auto-Encoder for Remote Sensing Images", https://arxiv.org/abs/2506.19585.
Official code: https://github.com/gsumbul/SMARTIES (Apache-2.0).

The spectrum is cut into ranges, each with a linear layer of its own for the patches of one band. A token is twelve
times the mean over the image's bands. Two ranges that no sensor of the pre-training has are mixtures of two others; as
in the authors' code the range that lies farther away weighs more.

Legend: B batch, S bands, H W the map in patches, C channels, N = 1 + H * W.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Size, TokenEmbed, sine_positions
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.layers import Linear, Mlp, PreNormBlock, SelfAttention, drop_path_rates, pad_image_to_multiple
from denseformer.network import Source
from denseformer.registry import MODELS

RANGES = 17
"""Aerosol, blue, blue of RGB, green of RGB, green, red of RGB, red, red edge 1 and 2, near infrared 1, 2 and 3, water
vapor, short-wave infrared 1 and 2, and the microwaves VV and VH."""
BANDS = {
    2: (15, 16),
    3: (5, 3, 2),
    12: (0, 1, 4, 6, 7, 8, 10, 9, 11, 12, 13, 14),
}
"""By their number, the ranges of an image's bands: Sentinel-1's, red, green and blue, and Sentinel-2's of level 2A."""
CENTERS = {0: 442.5, 1: 492.5, 14: 2189.0, 15: 5.55e7}
"""Wavelengths in the middle of the ranges that are mixed, in nanometers."""
MIXTURES = {17: ((14, 15), 10895.0), 18: ((0, 1), 482.0)}
"""Thermal infrared and Landsat's blue: the ranges that stand in for them, and their own wavelength in nanometers."""
SCALE = 12


def mixture(band: int) -> dict[int, float]:
    """The weights of the ranges whose layers embed a band."""
    if band not in MIXTURES:
        return {band: 1.0}
    ranges, center = MIXTURES[band]
    distances = {i: abs(CENTERS[i] - center) for i in ranges}
    return {i: distance / sum(distances.values()) for i, distance in distances.items()}


class SpectralPatches(nn.Module):
    """Patches of each band, embedded by its range: (B, S, height, width) -> (B, C, H, W).

    The image is zero-padded on the right and at the bottom to a multiple of the patch.
    """

    def __init__(self, bands: Sequence[int], dim: int, patch: int):
        super().__init__()
        self.mixtures = [mixture(band) for band in bands]
        self.patch = patch
        used = sorted({i for weights in self.mixtures for i in weights})
        self.ranges = nn.ModuleDict({str(i): Linear(patch * patch, dim) for i in used})

    def forward(self, image: Tensor) -> Tensor:
        image = pad_image_to_multiple(image, self.patch)
        patches = image.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))  # (B, S, H, p, W, p)
        patches = patches.transpose(3, 4).flatten(4)  # (B, S, H, W, p * p)
        embedded = [
            weight * self.ranges[str(i)](patches[:, band])
            for band, weights in enumerate(self.mixtures)
            for i, weight in weights.items()
        ]
        return (sum(embedded) * (SCALE / len(self.mixtures))).permute(0, 3, 1, 2)


class SinePositions(nn.Module):
    """`sine_positions` of a map of any size: (H, W) -> (1, 1 + H * W, C)."""

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer('place', torch.zeros(dim), persistent=False)

    def forward(self, size: Size) -> Tensor:
        return sine_positions(size, len(self.place), self.place.device, self.place.dtype)


@MODELS.register_module()
class SMARTIES(PlainBackbone):
    """SMARTIES; returns maps without a norm.

    Args:
        bands: of each channel of the image its range of the spectrum, 0 .. 16, or 17 (thermal infrared) and 18
            (Landsat's blue); None for those of 2, 3 or 12 `in_channels`: Sentinel-1, red, green and blue, Sentinel-2.
            Ranges that no channel lies in are not built.
        The others are described in `PlainBackbone`; `image_size` decides nothing here.
    """

    source = Source(
        paper='SMARTIES: Spectrum-Aware Multi-Sensor Auto-Encoder for Remote Sensing Images, '
        'https://arxiv.org/abs/2506.19585',
        code='https://github.com/gsumbul/SMARTIES',
        license='Apache-2.0',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        bands: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[PlainOptions],
    ):
        super().__init__(arch=arch, **common)
        if bands is None and self.in_channels not in BANDS:
            raise ValueError(
                f'{self.in_channels} channels are of no sensor known here: name the range of each in `bands`.'
            )
        self.bands = tuple(BANDS[self.in_channels] if bands is None else bands)
        if len(self.bands) != self.in_channels or not set(self.bands) <= {*range(RANGES), *MIXTURES}:
            raise ValueError(
                f'bands must be {self.in_channels} numbers, one per channel, of 0..{RANGES - 1} or '
                f'{sorted(MIXTURES)}; got {self.bands}.'
            )
        dim = self.arch.width
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.build(
            patch_embed=TokenEmbed(
                SpectralPatches(self.bands, dim, self.patch_size), dim, positions=SinePositions(dim)
            ),
            blocks=[
                PreNormBlock(
                    dim,
                    SelfAttention(dim, self.arch.heads),
                    Mlp(dim, self.arch.mlp_width),
                    drop_path=rate,
                    norm=norm,
                )
                for rate in drop_path_rates(drop_path_rate, [self.arch.blocks])[0]
            ],
            norm=norm(dim),
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' encoder or autoencoder; positions are made, not loaded."""
        state_dict = rename(
            drop(state_dict, r'^(decoder_)?pos_embed$', r'\.spectrum_projections\.', r'^heads?\.'),
            (r'^spectrum_projection\.spectrum_embeds\.(\d+)\.proj\.', r'patch_embed.patches.ranges.\1.'),
        )
        return PlainBackbone.remap_official_keys(state_dict, network)

    def drop_keys_of_unbuilt_parts(self, state_dict: StateDict) -> StateDict:
        ranges = 'patch_embed.patches.ranges.'
        built = tuple(f'{ranges}{i}.' for i in self.patch_embed.patches.ranges)
        state_dict = super().drop_keys_of_unbuilt_parts(state_dict)
        return {key: v for key, v in state_dict.items() if not key.startswith(ranges) or key.startswith(built)}


SMARTIES.archs = {
    'base': PlainArch(width=768, blocks=12, heads=12),
    'large': PlainArch(width=1024, blocks=24, heads=16),
    'huge': PlainArch(width=1280, blocks=32, heads=16, patch_size=14),
}
