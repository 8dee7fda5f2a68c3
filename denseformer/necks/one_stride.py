"""Pyramids of the maps that a plain backbone has, which all lie at one stride.

`MultiLevelNeck` is mmsegmentation's for vision transformers; `DeconvPyramid` BEiT's and MAE's
(https://github.com/microsoft/unilm, beit/semantic_segmentation, MIT); `SimpleFeaturePyramid` that of "Exploring Plain
Vision Transformer Backbones for Object Detection", https://arxiv.org/abs/2203.16527
(https://github.com/facebookresearch/detectron2, Apache-2.0).

They take the arguments of `FPN`, so that a config changes one for another by its `type`. Strides of the maps need not
be equal, nor powers of two: DINOv2's patches of 14 pixels serve heads that count on strides of 4 to 32.

Legend: B batch, C channels, H W map.
"""

import math
import re
from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys
from denseformer.layers import LayerNorm2d
from denseformer.necks.fpn import conv_module
from denseformer.registry import MODELS


class OneStrideNeck(BaseModule):
    """The arguments of all necks here.

    Args:
        in_channels, in_strides: of the backbone's maps, shallowest first: one per level, or a single map for all.
        out_strides: of the levels, finest first.
        init_cfg: mmengine's.

    Raises ValueError for numbers of maps and levels that do not go together.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        out_strides: Sequence[int],
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        if len(in_channels) != len(in_strides):
            raise ValueError(f'in_channels={tuple(in_channels)} and in_strides={tuple(in_strides)} differ in number.')
        if len(in_channels) not in (1, len(out_strides)):
            raise ValueError(
                f'{len(in_channels)} maps do not make {len(out_strides)} levels at strides {tuple(out_strides)}: give '
                'the backbone one of `out_indices`, or one for each level.'
            )
        self.in_channels = tuple(in_channels)
        self.out_strides = tuple(out_strides)
        repeat = len(out_strides) // len(in_channels)
        self.sources = tuple(in_channels) * repeat
        """Channels of the map that each level is made from."""
        self.scales = tuple(i / o for i, o in zip(tuple(in_strides) * repeat, out_strides, strict=True))

    def per_level(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The map of each level, still at the backbone's stride."""
        if len(maps) != len(self.in_channels):
            raise ValueError(f'There are {len(maps)} maps; in_channels={self.in_channels} asks for another number.')
        return list(maps) * (len(self.out_strides) // len(maps))


def resize(x: Tensor, scale: float) -> Tensor:
    """A map at `scale` times its size, bilinearly."""
    return x if scale == 1 else F.interpolate(x, scale_factor=scale, mode='bilinear', align_corners=False)


def halvings(scale: float) -> tuple[int, float]:
    """`scale` as a power of two, of which the exponent is returned, and the rest, from 1 / sqrt(2) up to sqrt(2)."""
    exponent = round(math.log2(scale))
    return exponent, scale / 2**exponent


@MODELS.register_module()
class MultiLevelNeck(OneStrideNeck):
    """Each map, made `out_channels` wide, resized bilinearly and smoothed: mmsegmentation's neck, with its keys.

    Args:
        out_channels: of every level.
        The others are described in `OneStrideNeck`.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        out_channels: int,
        out_strides: Sequence[int],
        init_cfg: dict | list[dict] | None = None,
    ):
        init_cfg = dict(type='Xavier', layer='Conv2d', distribution='uniform') if init_cfg is None else init_cfg
        super().__init__(in_channels=in_channels, in_strides=in_strides, out_strides=out_strides, init_cfg=init_cfg)
        self.lateral_convs = nn.ModuleList(conv_module(channels, out_channels, 1) for channels in in_channels)
        self.convs = nn.ModuleList(conv_module(out_channels, out_channels, 3) for _ in out_strides)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One (B, C_i, H_i, W_i) per in_strides -> one (B, out_channels, H_j, W_j) per out_strides."""
        self.per_level(maps)  # refuses another number of maps
        laterals = self.per_level([conv(x) for conv, x in zip(self.lateral_convs, maps, strict=True)])
        return tuple(conv(resize(x, scale)) for conv, x, scale in zip(self.convs, laterals, self.scales, strict=True))


@MODELS.register_module()
class DeconvPyramid(OneStrideNeck):
    """Each map, enlarged by transposed convolutions or halved by maxima; its channels stay as many.

    The levels are `fpn1`, `fpn2`, ..., as in BEiT's code. A map whose size is no power of two times that of its level
    is resized bilinearly to the nearest one that is.

    Args:
        The arguments are described in `OneStrideNeck`.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        out_strides: Sequence[int],
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(in_channels=in_channels, in_strides=in_strides, out_strides=out_strides, init_cfg=init_cfg)
        for i, (channels, scale) in enumerate(zip(self.sources, self.scales, strict=True)):
            self.add_module(f'fpn{i + 1}', deconv_level(channels, halvings(scale)[0]))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One (B, C_i, H_i, W_i) per in_strides -> one (B, C_j, H_j, W_j) per out_strides."""
        return tuple(
            self.get_submodule(f'fpn{i + 1}')(resize(x, halvings(scale)[1]))
            for i, (x, scale) in enumerate(zip(self.per_level(maps), self.scales, strict=True))
        )


def deconv_level(dim: int, exponent: int) -> nn.Module:
    """(B, C, H, W) -> (B, C, 2 ** exponent * H, 2 ** exponent * W)."""
    if exponent <= 0:
        return nn.MaxPool2d(2**-exponent) if exponent else nn.Identity()
    layers: list[nn.Module] = [doubled(dim, dim)]
    for _ in range(exponent - 1):
        layers += [nn.BatchNorm2d(dim), nn.GELU(), doubled(dim, dim)]
    return nn.Sequential(*layers)


def doubled(dim: int, out_dim: int) -> nn.Module:
    """A transposed convolution: (B, dim, H, W) -> (B, out_dim, 2H, 2W)."""
    return nn.ConvTranspose2d(dim, out_dim, 2, 2)


class NormedConv(nn.Conv2d):
    """A convolution without bias, then LayerNorm over channels: (B, dim, H, W) -> (B, out, H, W)."""

    def __init__(self, dim: int, out_dim: int, kernel_size: int):
        super().__init__(dim, out_dim, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = LayerNorm2d(out_dim, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


def level_conv(match: re.Match) -> str:
    """The place of a level's convolutions, behind what doubles or halves its map, from mmdetection's name of them."""
    level = int(match[2])
    place = (4, 1, 0, 1)[level] + (match[1] == 'fpn')
    return f'simfp_{level + 2}.{place}.' + ('norm.' if match[3] == 'norm_layer' else '')


@MODELS.register_module()
class SimpleFeaturePyramid(RenamesKeys, OneStrideNeck):
    """All levels from the last map alone, without paths between them: ViTDet's pyramid, in place of `FPN`.

    The levels are `simfp_2` for stride 4, `simfp_3` for stride 8 and so on, as in Detectron2; mmdetection's names of
    them load too. Levels above stride 32 leave out every other row and column of the one before.

    A backbone whose maps have norms or levels of their own, Vim's or Swin's, should return the last map alone,
    `out_indices=(3,)`: those of the others learn nothing, and distributed training refuses parameters without gradients
    (unless a config sets `find_unused_parameters = True`).

    Args:
        in_channels, in_strides: of the backbone's maps; the last one counts.
        out_channels: of every level.
        out_strides: of the levels, finest first, powers of two.
        init_cfg: mmengine's.
    """

    names = (
        (r'^fpn(\d)\.', lambda match: f'simfp_{int(match[1]) + 1}.'),
        (r'^(lateral|fpn)_convs\.(\d)\.(conv|norm_layer)\.', level_conv),
    )

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        out_channels: int,
        out_strides: Sequence[int],
        init_cfg: dict | list[dict] | None = None,
    ):
        made = [stride for stride in out_strides if stride <= 32]
        super().__init__(in_channels=in_channels[-1:], in_strides=in_strides[-1:], out_strides=made, init_cfg=init_cfg)
        self.pooled = len(out_strides) - len(made)
        for stride, scale in zip(made, self.scales, strict=True):
            self.add_module(
                f'simfp_{int(math.log2(stride))}', simple_level(in_channels[-1], out_channels, halvings(scale)[0])
            )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The backbone's maps, the last (B, C, H, W) -> one (B, out_channels, H_j, W_j) per out_strides."""
        levels = [
            self.get_submodule(f'simfp_{int(math.log2(stride))}')(resize(x, halvings(scale)[1]))
            for x, stride, scale in zip(self.per_level(maps[-1:]), self.out_strides, self.scales, strict=True)
        ]
        for _ in range(self.pooled):
            levels.append(F.max_pool2d(levels[-1], 1, 2))
        return tuple(levels)


def simple_level(dim: int, out_dim: int, exponent: int) -> nn.Sequential:
    """(B, dim, H, W) -> (B, out_dim, 2 ** exponent * H, 2 ** exponent * W); each doubling halves the channels."""
    layers: list[nn.Module] = [nn.MaxPool2d(2**-exponent)] if exponent < 0 else []
    for i in range(exponent):
        layers += [LayerNorm2d(dim, 1e-6), nn.GELU()] if i else []
        layers.append(doubled(dim, dim // 2))
        dim //= 2
    return nn.Sequential(*layers, NormedConv(dim, out_dim, 1), NormedConv(out_dim, out_dim, 3))
