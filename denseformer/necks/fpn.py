"""Feature pyramids: "Feature Pyramid Networks for Object Detection", https://arxiv.org/abs/1612.03144.

A head says at which strides it wants maps; which of them a backbone gives, which are coarser and which finer follows
from the backbone's own strides. Finer levels are EfficientViT's: transposed convolutions of the merged finest map, one
after the other (https://github.com/microsoft/Cream, EfficientViT/downstream, MIT).

Legend: B batch, C channels, H W map.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from denseformer.registry import MODELS

INIT = [
    dict(type='Xavier', layer='Conv2d', distribution='uniform'),
    dict(type='Kaiming', layer='ConvTranspose2d'),
]


@MODELS.register_module()
class FPN(BaseModule):
    """One map per wanted stride, from the maps of a backbone.

    A 1 x 1 convolution makes maps equally wide, each takes the next coarser one over, and a 3 x 3 convolution follows.
    Where nothing is finer than the backbone's maps it is mmdetection's `FPN`, with the same keys. A map of a finer
    level is exactly twice as high and wide as the next, so its side may exceed ceil(image side / stride).

    Args:
        in_channels, in_strides: of the backbone's maps, finest first; those finer than wanted are left out.
        out_channels: of every level.
        out_strides: of the levels, finest first, each twice the one before; they reach down to the coarsest of
            `in_strides` at least.
        extra_convs: make levels coarser than the backbone's by strided 3 x 3 convolutions, of its coarsest map and then
            of each other, as RetinaNet does; with 'of_level' of the level made of that map, as ATSS does; else by
            leaving out every other row and column.
        init_cfg: mmengine's.

    Raises ValueError for strides that no levels can be made at.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        out_channels: int,
        out_strides: Sequence[int],
        extra_convs: bool | Literal['of_level'] = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(INIT if init_cfg is None else init_cfg)
        if extra_convs not in (False, True, 'of_level'):
            raise ValueError(f"extra_convs is False, True or 'of_level', not {extra_convs!r}.")
        check_strides(in_channels, in_strides, out_strides)
        self.in_channels = tuple(in_channels)
        self.out_strides = tuple(out_strides)
        self.start = sum(stride < out_strides[0] for stride in in_strides)
        self.finer = sum(stride < in_strides[self.start] for stride in out_strides)
        self.coarser = sum(stride > in_strides[-1] for stride in out_strides)
        self.extra_convs = extra_convs
        used = self.in_channels[self.start :]
        self.lateral_convs = nn.ModuleList(conv_module(channels, out_channels, 1) for channels in used)
        self.fpn_convs = nn.ModuleList(conv_module(out_channels, out_channels, 3) for _ in used)
        if extra_convs:
            first = out_channels if extra_convs == 'of_level' else used[-1]
            sources = [first, *[out_channels] * self.coarser][: self.coarser]
            self.fpn_convs.extend(conv_module(source, out_channels, 3, stride=2) for source in sources)
        self.extra_trans_convs = nn.ModuleList(double_module(out_channels) for _ in range(self.finer))
        self.extra_fpn_convs = nn.ModuleList(conv_module(out_channels, out_channels, 3) for _ in range(self.finer))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One (B, C_i, H_i, W_i) per in_strides -> one (B, out_channels, H_j, W_j) per out_strides."""
        if len(maps) != len(self.in_channels):
            raise ValueError(f'There are {len(maps)} maps; in_channels={self.in_channels} asks for another number.')
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, maps[self.start :], strict=True)]
        for i in reversed(range(len(laterals) - 1)):
            laterals[i] = laterals[i] + F.interpolate(laterals[i + 1], laterals[i].shape[2:], mode='nearest')
        outs = [conv(x) for conv, x in zip(self.fpn_convs, laterals, strict=False)]
        return *self.finer_levels(laterals[0]), *outs, *self.coarser_levels(maps[-1], outs[-1])

    def finer_levels(self, x: Tensor) -> list[Tensor]:
        """Levels finer than the merged map `x`, finest first."""
        levels: list[Tensor] = []
        for conv in self.extra_trans_convs:
            x = conv(x)
            levels.insert(0, x)
        return [conv(level) for conv, level in zip(self.extra_fpn_convs, levels, strict=True)]

    def coarser_levels(self, last_map: Tensor, last_level: Tensor) -> list[Tensor]:
        """Levels coarser than the backbone's coarsest map, and than the level made of it."""
        levels: list[Tensor] = []
        x = last_map if self.extra_convs is True else last_level
        for i in range(self.coarser):
            x = self.fpn_convs[len(self.lateral_convs) + i](x) if self.extra_convs else F.max_pool2d(x, 1, 2)
            levels.append(x)
        return levels


def check_strides(in_channels: Sequence[int], in_strides: Sequence[int], out_strides: Sequence[int]) -> None:
    if len(in_channels) != len(in_strides):
        raise ValueError(f'in_channels={tuple(in_channels)} and in_strides={tuple(in_strides)} differ in number.')
    for name, strides in (('in_strides', in_strides), ('out_strides', out_strides)):
        if not strides or any(stride != strides[0] * 2**i for i, stride in enumerate(strides)):
            raise ValueError(f'{name} must be strides each twice the one before, got {tuple(strides)}.')
    if not out_strides[0] <= in_strides[-1] <= out_strides[-1]:
        raise ValueError(
            f'out_strides={tuple(out_strides)} must hold {in_strides[-1]}, the stride of the coarsest map: '
            'leave out coarser maps by `out_indices` of the backbone, or ask for coarser levels.'
        )


def first_of(in_strides: Sequence[int], out_strides: Sequence[int]) -> int:
    """The number of the map at the stride of the finest level, for a neck whose levels are its maps and coarser ones.

    Raises ValueError where the maps from there on do not lie at the strides of the levels.
    """
    first = sum(stride < out_strides[0] for stride in in_strides)
    used = tuple(in_strides[first:])
    if not used or used != tuple(out_strides[: len(used)]):
        raise ValueError(
            f'Levels at strides {tuple(out_strides)} need maps at the first of them, and these lie at strides '
            f'{tuple(in_strides)}: ask for levels (pyramid_strides of a config) that begin at one of those.'
        )
    return first


def conv_module(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Module:
    """A convolution that keeps the size up to its stride, under the name that mmcv's `ConvModule` gives it."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2)
    return nn.Sequential(OrderedDict(conv=conv))


def double_module(channels: int) -> nn.Module:
    """A transposed convolution: (B, C, H, W) -> (B, C, 2H, 2W)."""
    return nn.Sequential(OrderedDict(conv=nn.ConvTranspose2d(channels, channels, 2, 2)))


@MODELS.register_module(name=['EfficientViTFPN', 'LSNetFPN'])
class EfficientViTFPN(FPN):
    """`FPN` in the terms of EfficientViT's code, in which SHViT and LSNet have theirs.

    Args:
        in_channels: of the backbone's maps, finest first, each half as high and wide as the one before.
        out_channels: of every level.
        num_outs: how many levels there are.
        num_extra_trans_convs: how many of them are finer than the backbone's finest map.
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        num_extra_trans_convs: int = 0,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(
            in_channels=in_channels,
            in_strides=[2 ** (num_extra_trans_convs + i) for i in range(len(in_channels))],
            out_channels=out_channels,
            out_strides=[2**i for i in range(num_outs)],
            init_cfg=init_cfg,
        )
