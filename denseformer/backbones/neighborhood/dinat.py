"""NAT, DiNAT and DiNAT_s: (Dilated) Neighborhood Attention Transformers.

Papers: "Neighborhood Attention Transformer", https://arxiv.org/abs/2204.07143, and "Dilated Neighborhood Attention
Transformer", https://arxiv.org/abs/2209.15001.
Official code: https://github.com/SHI-Labs/Neighborhood-Attention-Transformer (MIT).

Every query attends to the k x k keys around it, or, dilated, to k x k keys spread over a wider square; windows are
moved inwards at the border so that their size never changes. NAT and DiNAT have an overlapping convolutional stem and
downsampling; DiNAT_s keeps Swin's patches and layer sizes. A bias per relative position does not depend on the
dilation, so one checkpoint serves any dilations: `dilations` names the published sets.

Legend: B batch, H W map, C channels, h heads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, stages_from, strip_classifier
from denseformer.layers import (
    ConvDownsample,
    Mlp,
    NeighborhoodAttention,
    PatchEmbed,
    PatchMerging,
    PreNormBlock,
    drop_path_rates,
    to_channels_last,
)
from denseformer.network import Source
from denseformer.registry import MODELS

Dilations = tuple[tuple[int, ...], ...]


class OverlapStem(nn.Module):
    """Two 3 x 3 stride-2 convolutions with nothing between, then LayerNorm: (B, C, H, W) -> (B, H/4, W/4, dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.proj = nn.Sequential(nn.Conv2d(in_channels, dim // 2, 3, 2, 1), nn.Conv2d(dim // 2, dim, 3, 2, 1))
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor) -> Tensor:
        x = self.proj(to_channels_last(image))
        return self.norm(x.permute(0, 2, 3, 1))  # (B, H/4, W/4, dim)


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """dilations: sets that only this variant has."""

    heads: tuple[int, ...]
    mlp_ratio: float
    layer_scale: float | None = None
    kernel_size: int = 7
    dilations: Mapping[str, Dilations] = field(default_factory=dict)


@MODELS.register_module()
class DiNAT(Backbone):
    """Dilated Neighborhood Attention Transformer.

    Args:
        kernel_size: odd side of the neighborhood in keys; None for the variant's own.
        dilations: 'imagenet', 'ade20k' or 'coco' for the published sets, made for 224, 512 and 800 pixel images
            ('mask2former' besides for the large variant), 'none' for dilation 1 throughout, or one sequence of
            dilations per stage.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='Dilated Neighborhood Attention Transformer, https://arxiv.org/abs/2209.15001',
        code='https://github.com/SHI-Labs/Neighborhood-Attention-Transformer',
        license='MIT',
    )
    no_weight_decay = ('norm', 'rpb')
    make_patch_embed: ClassVar[Callable[..., nn.Module]] = OverlapStem
    make_downsample: ClassVar[Callable[..., nn.Module]] = ConvDownsample

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        kernel_size: int | None = None,
        dilations: str | Sequence[Sequence[int]] = 'ade20k',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.dilations = resolve_dilations(dilations, self.arch)
        self.assemble(
            patch_embed=self.make_patch_embed(self.in_channels, self.arch.width),
            stages=self._stages(kernel_size or self.arch.kernel_size, drop_path_rate),
            out_norms=[nn.LayerNorm(width) for width in self.arch.widths],
        )

    def _stages(self, kernel_size: int, drop_path_rate: float) -> list[Stage]:
        widths, rates = self.arch.widths, drop_path_rates(drop_path_rate, self.arch.depths)
        stages = []
        for i, width in enumerate(widths):
            blocks = [
                self._block(i, kernel_size=kernel_size, dilation=dilation, drop_path=rate)
                for dilation, rate in zip(self.dilations[i], rates[i], strict=True)
            ]
            stages.append(Stage(blocks, self.make_downsample(widths[i - 1], width) if i else None))
        return stages

    def _block(self, stage: int, *, kernel_size: int, dilation: int, drop_path: float) -> nn.Module:
        arch, width = self.arch, self.arch.widths[stage]
        attn = NeighborhoodAttention(width, arch.heads[stage], kernel_size=kernel_size, dilation=dilation)
        mlp = Mlp(width, int(width * arch.mlp_ratio))
        return PreNormBlock(width, attn, mlp, drop_path=drop_path, layer_scale=arch.layer_scale)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'DiNAT') -> StateDict:
        """From `levels.i` (NAT, DiNAT) or `layers.i` (DiNAT_s), where downsampling closes the stage before."""
        return rename(
            strip_classifier(state_dict, official=r'^(levels|layers)\.'),
            *stages_from('(?:levels|layers)'),
            (r'^norm(\d)\.', r'out_norms.\1.'),
        )


@MODELS.register_module()
class NAT(DiNAT):
    """Neighborhood Attention Transformer: DiNAT with every dilation 1."""

    source = Source(
        paper='Neighborhood Attention Transformer, https://arxiv.org/abs/2204.07143',
        code='https://github.com/SHI-Labs/Neighborhood-Attention-Transformer',
        license='MIT',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        kernel_size: int | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, kernel_size=kernel_size, dilations='none', drop_path_rate=drop_path_rate, **common)


@MODELS.register_module(name='DiNAT_s')
class DiNATs(DiNAT):
    """DiNAT on Swin's skeleton: 4 x 4 patches, patch merging, an MLP four times as wide."""

    make_patch_embed = PatchEmbed
    make_downsample = PatchMerging


def resolve_dilations(dilations: str | Sequence[Sequence[int]], arch: Arch) -> Dilations:
    if isinstance(dilations, str):
        known = {**published_dilations(arch.depths), **arch.dilations}
        if dilations not in known:
            raise ValueError(f"No dilations '{dilations}' are published for this arch; known: {', '.join(known)}.")
        return known[dilations]
    lengths = tuple(len(stage) for stage in dilations)
    if lengths != tuple(arch.depths):
        raise ValueError(f'dilations needs {arch.depths} entries, one per block of each stage; got {lengths}.')
    return tuple(tuple(stage) for stage in dilations)


def alternate(depth: int, *wide: int) -> tuple[int, ...]:
    """1 on even blocks, the `wide` dilations in turn on odd ones: alternate(5, 2, 3) -> (1, 2, 1, 3, 1)."""
    return tuple(wide[i // 2 % len(wide)] if i % 2 else 1 for i in range(depth))


def published_dilations(depths: Sequence[int]) -> dict[str, Dilations]:
    """The sets of all variants up to base. A stage of two blocks has room for its widest dilation only."""

    def per_stage(*wide: tuple[int, ...]) -> Dilations:
        return tuple(alternate(depth, *stage[-(depth // 2) :]) for depth, stage in zip(depths, wide, strict=True))

    return {
        'none': per_stage((1,), (1,), (1,), (1,)),
        'imagenet': per_stage((8,), (4,), (2,), (1,)),
        'ade20k': per_stage((16,), (4, 8), (2, 3, 4), (2,)),
        'coco': per_stage((28,), (7, 14), (3, 5, 7), (3,)),
    }


LARGE_THIRD = (1, 2, 1, 3, 1, 4, 1, 5, 1, 2, 1, 3, 1, 4, 1, 5, 1, 5)
MASK2FORMER_THIRD = (1, 2, 1, 3, 1, 2, 1, 3, 1, 2, 1, 3, 1, 2, 1, 3, 1, 3)

NAT.archs = {
    'mini': Arch(width=64, depths=(3, 4, 6, 5), heads=(2, 4, 8, 16), mlp_ratio=3),
    'tiny': Arch(width=64, depths=(3, 4, 18, 5), heads=(2, 4, 8, 16), mlp_ratio=3),
    'small': Arch(width=96, depths=(3, 4, 18, 5), heads=(3, 6, 12, 24), mlp_ratio=2, layer_scale=1e-5),
    'base': Arch(width=128, depths=(3, 4, 18, 5), heads=(4, 8, 16, 32), mlp_ratio=2, layer_scale=1e-5),
}
DiNAT.archs = {
    'mini': NAT.archs['mini'],
    'tiny': NAT.archs['tiny'],
    'small': Arch(width=96, depths=(3, 4, 18, 5), heads=(3, 6, 12, 24), mlp_ratio=2),
    'base': NAT.archs['base'],
    'large': Arch(
        width=192,
        depths=(3, 4, 18, 5),
        heads=(6, 12, 24, 48),
        mlp_ratio=2,
        dilations={
            'ade20k': ((1, 20, 1), (1, 5, 1, 10), LARGE_THIRD, (1, 2, 1, 2, 1)),
            'mask2former': ((1, 14, 1), (1, 4, 1, 7), MASK2FORMER_THIRD, (1, 1, 1, 1, 1)),  # with kernel_size=11
        },
    ),
}
DiNATs.archs = {
    'tiny': Arch(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), mlp_ratio=4),
    'small': Arch(width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24), mlp_ratio=4),
    'base': Arch(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), mlp_ratio=4),
    'large': Arch(
        width=192,
        depths=(2, 2, 18, 2),
        heads=(6, 12, 24, 48),
        mlp_ratio=4,
        dilations={'ade20k': ((1, 20), (1, 10), LARGE_THIRD, (1, 2))},
    ),
}
