"""FocalNet: Focal Modulation Networks.

Paper: "Focal Modulation Networks", https://arxiv.org/abs/2203.11926.
Official code: https://github.com/microsoft/FocalNet (MIT); the large variants: https://github.com/FocalNet/FocalNet-DINO
(Apache-2.0).

Context is gathered first and interacts with the query last: depth-wise convolutions of growing size, one after the
other, and the mean over the map give one context per focal level; every position weighs them by gates of its own, and
their sum modulates the query. 'srf' and 'lrf' are two and three levels.

The dense tiny, small and base variants have kernels of 9, 11 and 13 where the ImageNet ones have 3, 5 and 7: a loaded
kernel of another size is padded with zeros around, or cropped, and the gates of levels it lacks start at zero. The
large variants normalize behind the branches, with gains on them, and embed overlapping patches. Their stem pads by two
pixels, like the code the checkpoints were trained with; the dense code for the small ones would pad by three. An image
is zero-padded on the right and at the bottom to multiples of 4, a map to multiples of 2.

Query, context and gate are multiplied, and the large variants do not normalize what these are made from: a rounding
error triples where gains are near 1. With made-up weights of such gains the outputs of `large_fl3` in bfloat16 deviate
by 0.48 of their standard deviation from those in float32 (`python -m benchmarks.precision FocalNet:large_fl3:64`).

Legend: B batch, H W map, C channels, L levels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, linear_from_pointwise, rename, stages_from, strip_classifier
from denseformer.layers import (
    DepthwiseConv,
    Linear,
    Mlp,
    PatchDownsample,
    PatchEmbed,
    Pointwise,
    PostNormBlock,
    PreNormBlock,
    drop_path_rates,
)
from denseformer.network import Source
from denseformer.registry import MODELS


class FocalModulation(nn.Module):
    """Queries modulated by gated contexts: (B, H, W, C) -> the same.

    window: kernel of the first level, larger by two at each further one; average: divide the sum of contexts by their
    number; normalize: LayerNorm before the output projection.
    """

    def __init__(self, dim: int, *, levels: int, window: int, average: bool, normalize: bool):
        super().__init__()
        self.parts = dim, dim, levels + 1
        self.average = average
        self.proj_in = Linear(dim, sum(self.parts))
        self.contexts = nn.ModuleList(DepthwiseConv(dim, window + 2 * i, bias=False) for i in range(levels))
        self.mix = Pointwise(dim, dim)
        self.norm = nn.LayerNorm(dim) if normalize else nn.Identity()
        self.proj_out = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        query, context, gates = self.proj_in(x).split(self.parts, dim=-1)
        return self.proj_out(self.norm(query * self.mix(self.gather(context, gates))))

    def gather(self, context: Tensor, gates: Tensor) -> Tensor:
        """The sum of all contexts, each weighed by its gate: (B, H, W, C), (B, H, W, L + 1) -> (B, H, W, C)."""
        *level_gates, global_gate = gates.split(1, dim=-1)  # each (B, H, W, 1)
        total = torch.zeros_like(context)
        for conv, gate in zip(self.contexts, level_gates, strict=True):
            context = F.gelu(conv(context))
            total = total + context * gate
        everywhere = F.gelu(context.mean((1, 2), keepdim=True))  # (B, 1, 1, C)
        total = total + everywhere * global_gate
        return total / (len(level_gates) + 1) if self.average else total


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """levels, window: see `FocalModulation`.

    overlapping_patches: convolutions wider than their stride embed and downsample, the stem's with `stem_padding`;
    layer_scale: where gains on the branches start; post_norm: normalize behind the branches; average_contexts,
    norm_modulated: `average` and `normalize` of `FocalModulation`.
    """

    levels: int
    window: int
    overlapping_patches: bool = False
    stem_padding: int = 2
    layer_scale: float | None = None
    post_norm: bool = False
    average_contexts: bool = False
    norm_modulated: bool = False


@MODELS.register_module()
class FocalNet(Backbone):
    """Focal Modulation Network.

    windows: kernel of the first level in each stage; None for the arch's in all of them.
    """

    source = Source(
        paper='Focal Modulation Networks, https://arxiv.org/abs/2203.11926',
        code='https://github.com/microsoft/FocalNet',
        license='MIT',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny_srf',
        windows: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths, overlap = self.arch.widths, self.arch.overlapping_patches
        self.windows = tuple(windows or [self.arch.window] * len(widths))
        if len(self.windows) != len(widths) or any(window % 2 == 0 for window in self.windows):
            raise ValueError(f'windows must be {len(widths)} odd numbers, one for each stage, got {self.windows}.')
        stem: dict[str, Any] = {'kernel_size': 7, 'padding': self.arch.stem_padding} if overlap else {}
        between: dict[str, Any] = {'kernel_size': 3, 'padding': 1} if overlap else {}
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = PatchDownsample(widths[i - 1], widths[i], 2, **between) if i else None
            stages.append(Stage([self._block(i, rate) for rate in rates], downsample))
        self.assemble(
            patch_embed=PatchEmbed(self.in_channels, widths[0], 4, **stem),
            stages=stages,
            out_norms=[nn.LayerNorm(width) for width in widths],
        )

    def _block(self, stage: int, drop_path: float) -> nn.Module:
        arch, dim = self.arch, self.arch.widths[stage]
        modulation = FocalModulation(
            dim,
            levels=arch.levels,
            window=self.windows[stage],
            average=arch.average_contexts,
            normalize=arch.norm_modulated,
        )
        block = PostNormBlock if arch.post_norm else PreNormBlock
        return block(dim, modulation, Mlp(dim, 4 * dim), drop_path=drop_path, layer_scale=arch.layer_scale)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'FocalNet') -> StateDict:
        """From `layers.i`, where downsampling closes the stage before; kernels and gates to the network's sizes."""
        renamed = rename(
            strip_classifier(state_dict, official=r'^layers\.'),
            *stages_from('layers'),
            (r'\.modulation\.f\.', '.attn.proj_in.'),
            (r'\.modulation\.focal_layers\.(\d+)\.0\.', r'.attn.contexts.\1.'),
            (r'\.modulation\.h\.', '.attn.mix.'),
            (r'\.modulation\.ln\.', '.attn.norm.'),
            (r'\.modulation\.proj\.', '.attn.proj_out.'),
            (r'\.gamma_([12])$', r'.gamma\1'),
            (r'^norm(\d)\.', r'out_norms.\1.'),
        )
        renamed = linear_from_pointwise(renamed, r'\.attn\.mix\.')
        for key, value in renamed.items():
            if '.attn.contexts.' in key:
                stage, level = int(key.split('.')[1]), int(key.split('.')[-2])
                renamed[key] = fit_kernel(value, network.windows[stage] + 2 * level)
            elif '.attn.proj_in.' in key:
                renamed[key] = fit_gates(value, network.arch.widths[int(key.split('.')[1])], network.arch.levels)
        return renamed


def fit_kernel(kernel: Tensor, size: int) -> Tensor:
    """A centred square kernel (C, 1, k, k) with zeros around, or cropped, to `size`."""
    border = (size - kernel.shape[-1]) // 2
    return F.pad(kernel, (border, border, border, border)) if border else kernel


def fit_gates(rows: Tensor, dim: int, levels: int) -> Tensor:
    """Rows of the input projection, 2 * dim + L' + 1, with zeros for the gates that L' < levels lacks.

    The gate of the mean over the map stays last.
    """
    lacking = 2 * dim + levels + 1 - rows.shape[0]
    return rows if lacking <= 0 else torch.cat([rows[:-1], rows.new_zeros(lacking, *rows.shape[1:]), rows[-1:]])


def small(width: int, depth: int, levels: int) -> Arch:
    return Arch(width=width, depths=(2, 2, depth, 2), levels=levels, window=9)


def large(width: int, levels: int, window: int, **options: bool) -> Arch:
    return Arch(
        width=width,
        depths=(2, 2, 18, 2),
        levels=levels,
        window=window,
        overlapping_patches=True,
        layer_scale=1e-4,
        post_norm=True,
        **options,
    )


FocalNet.archs = {
    'tiny_srf': small(96, 6, 2),
    'tiny_lrf': small(96, 6, 3),
    'small_srf': small(96, 18, 2),
    'small_lrf': small(96, 18, 3),
    'base_srf': small(128, 18, 2),
    'base_lrf': small(128, 18, 3),
    'large_fl3': large(192, 3, 5),
    'large_fl4': large(192, 4, 3, average_contexts=True),
    'xlarge_fl3': large(256, 3, 5),
    'xlarge_fl4': large(256, 4, 3, average_contexts=True),
    'huge_fl3': large(352, 3, 3, norm_modulated=True),
    'huge_fl4': large(352, 4, 3, norm_modulated=True),
}
