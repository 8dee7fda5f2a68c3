"""HorNet: recursive gated convolutions on ConvNeXt's skeleton.

Paper: "HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions",
https://arxiv.org/abs/2207.14284.
Official code: https://github.com/raoyongming/HorNet (MIT).

A gated convolution of order n multiplies a narrow part of the input n times with filtered features that double in
width. Stem, downsampling, norms and sizes are ConvNeXt's. The filter is a 7 x 7 depth-wise convolution or, in the last
two stages of the '_gf' variants, half a 3 x 3 one and half a global one: a learned spectrum that the Fourier transform
of the map is multiplied by, resized bilinearly to the map's. The spectra have the size of the authors' segmentation
models unless `filter_sizes` says otherwise; loaded ones of another size are resized once, by the same rule.

Legend: B batch, H W map, C channels, h w spectrum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.spectral import global_filter, resize_spectrum
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.backbones.convolution.convnext import EPS, rename_skeleton
from denseformer.checkpoints.keys import StateDict, linear_from_pointwise, rename
from denseformer.layers import (
    DepthwiseConv,
    Linear,
    Mlp,
    NormedPatchDownsample,
    PatchEmbed,
    PreNormBlock,
    drop_path_rates,
)
from denseformer.layers.initializers import narrow
from denseformer.network import Source
from denseformer.registry import MODELS

Size = tuple[int, int]


class GlobalLocalFilter(nn.Module):
    """A 3 x 3 convolution of one half of the channels, a global one of the other: (B, H, W, C) -> the same.

    The results are interleaved. spectrum: (h, w) of the global filter, (rows, columns // 2 + 1) of the map it is made
    for.
    """

    def __init__(self, dim: int, spectrum: Size):
        super().__init__()
        self.norm_in = nn.LayerNorm(dim, EPS)
        self.local = DepthwiseConv(dim // 2, 3, bias=False)
        self.spectrum = nn.Parameter(torch.empty(dim // 2, *spectrum, 2))  # real and imaginary parts
        self.norm_out = nn.LayerNorm(dim, EPS)
        nn.init.trunc_normal_(self.spectrum, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        near, far = self.norm_in(x).chunk(2, dim=-1)
        far = global_filter(far.permute(0, 3, 1, 2), self.spectrum).permute(0, 2, 3, 1)
        both = torch.stack([self.local(near), far.to(x.dtype)], dim=-1).flatten(-2)  # (B, H, W, C)
        return self.norm_out(both)


class RecursiveGatedConv(nn.Module):
    """Gated convolution of order `order`: (B, H, W, C) -> the same. `spectrum`: of a global filter, if it has one."""

    def __init__(self, dim: int, *, order: int, spectrum: Size | None):
        super().__init__()
        self.widths = [dim // 2**i for i in reversed(range(order))]
        total = sum(self.widths)
        self.proj_in = Linear(dim, self.widths[0] + total)
        self.filter = GlobalLocalFilter(total, spectrum) if spectrum else DepthwiseConv(total, 7)
        self.widen = nn.ModuleList(Linear(width, 2 * width) for width in self.widths[:-1])
        self.proj_out = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        x, features = self.proj_in(x).split([self.widths[0], sum(self.widths)], dim=-1)
        first, *others = (self.filter(features) * (1 / 3)).split(self.widths, dim=-1)
        x = x * first
        for widen, feature in zip(self.widen, others, strict=True):
            x = widen(x) * feature
        return self.proj_out(x)


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """orders: of the gated convolutions, per stage; spectra: (h, w) of a stage's global filters, None without."""

    depths: tuple[int, ...] = (2, 3, 18, 2)
    orders: tuple[int, ...] = (2, 3, 4, 5)
    spectra: tuple[Size | None, ...] = (None, None, None, None)


@MODELS.register_module()
class HorNet(Backbone):
    """HorNet.

    Args:
        filter_sizes: (h, w) of the spectrum of each stage that has global filters, None for the segmentation models'
            ((24, 13), (12, 7)). ImageNet's, and the detection models' but the large one's, are ((14, 8), (7, 4)).
        The others are described in `Backbone`.
    """

    source = Source(
        paper='HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions, '
        'https://arxiv.org/abs/2207.14284',
        code='https://github.com/raoyongming/HorNet',
        license='MIT',
    )
    no_weight_decay = ('norm', 'bias', 'gamma')
    initial_weights = staticmethod(narrow)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        filter_sizes: Sequence[Size] | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.spectra = replace_spectra(self.arch.spectra, filter_sizes)
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = NormedPatchDownsample(widths[i - 1], widths[i]) if i else None
            stages.append(Stage([self._block(i, rate) for rate in rates], downsample))
        self.assemble(
            patch_embed=PatchEmbed(self.in_channels, widths[0], pad=False, eps=EPS),
            stages=stages,
            out_norms=[nn.LayerNorm(width, EPS) for width in widths],
        )

    def _block(self, stage: int, drop_path: float) -> nn.Module:
        dim = self.arch.widths[stage]
        return PreNormBlock(
            dim,
            RecursiveGatedConv(dim, order=self.arch.orders[stage], spectrum=self.spectra[stage]),
            Mlp(dim, 4 * dim),
            drop_path=drop_path,
            norm=partial(nn.LayerNorm, eps=EPS),
            layer_scale=1e-6,
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'HorNet') -> StateDict:
        """The authors' layout; spectra of another size are resized to the network's."""
        renamed = rename(
            rename_skeleton(state_dict),
            (r'\.gnconv\.', '.attn.'),
            (r'\.attn\.pws\.', '.attn.widen.'),
            (r'\.attn\.dwconv\.', '.attn.filter.'),
            (r'\.filter\.dw\.', '.filter.local.'),
            (r'\.filter\.complex_weight$', '.filter.spectrum'),
            (r'\.filter\.pre_norm\.', '.filter.norm_in.'),
            (r'\.filter\.post_norm\.', '.filter.norm_out.'),
        )
        renamed = linear_from_pointwise(renamed, r'\.attn\.(proj_in|proj_out|widen)\b')
        for key, value in renamed.items():
            size = network.spectra[int(key.split('.')[1])] if key.endswith('.filter.spectrum') else None
            if size is not None:
                renamed[key] = resize_spectrum(value, size)
        return renamed


def replace_spectra(spectra: Sequence[Size | None], sizes: Sequence[Size] | None) -> tuple[Size | None, ...]:
    """`spectra` with `sizes` in place of those that are not None."""
    if sizes is None:
        return tuple(spectra)
    filtered = [i for i, spectrum in enumerate(spectra) if spectrum]
    if len(filtered) != len(sizes):
        raise ValueError(
            f'filter_sizes needs one (h, w) per stage with global filters: {len(filtered)}, got {len(sizes)}. '
            "Only the '_gf' variants have such stages."
        )
    replaced = {i: (rows, columns) for i, (rows, columns) in zip(filtered, sizes, strict=True)}
    return tuple(replaced.get(i) for i in range(len(spectra)))


WIDTHS = {'tiny': 64, 'small': 96, 'base': 128, 'large': 192}

HorNet.archs = {
    **{name: Arch(width=width) for name, width in WIDTHS.items()},
    **{f'{name}_gf': Arch(width=width, spectra=(None, None, (24, 13), (12, 7))) for name, width in WIDTHS.items()},
}
