"""SegFormer's head as its authors wrote it: linear layers, and no norm before the maps are joined.

Paper: "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
https://arxiv.org/abs/2105.15203.
Official code: https://github.com/NVlabs/SegFormer (NVIDIA Source Code License, non-commercial, code and weights).

mmsegmentation's `SegformerHead` puts BatchNorm and ReLU behind the layer of each map, so the authors' weights, which
Hugging Face has too, and FAN's do not fit there.

Legend: B batch, C channels, H W map, K classes.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule, StateDict, drop
from denseformer.registry import MODELS


class JoinedMaps(RenamesKeys, BaseDecodeHead):
    """Each map made `width` channels wide by a linear layer, resized to the first one, and all joined by one more.

    Args:
        in_channels: of the maps, finest first.
        width: C of the joined map.
        options: of mmsegmentation's `BaseDecodeHead`.
    """

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^linear_c(\d)\.proj\.', lambda match: f'levels.{int(match[1]) - 1}.'),
        (r'^linear_fuse\.', 'fuse.'),
    )

    def __init__(self, *, in_channels: Sequence[int], width: int, **options: Any):
        super().__init__(
            list(in_channels),
            in_index=list(options.pop('in_index', range(len(in_channels)))),
            input_transform='multiple_select',
            **options,
        )
        self.levels = nn.ModuleList(nn.Linear(dim, width) for dim in in_channels)
        self.fuse = ConvModule(len(in_channels) * width, width, 1, norm_cfg=self.norm_cfg or dict(type='BN'))

    def join(self, inputs: Sequence[Tensor]) -> Tensor:
        """One (B, C_i, h_i, w_i) per in_channels -> (B, C, H, W) at the first one's size."""
        maps = self._transform_inputs(inputs)
        size = maps[0].shape[2:]
        maps = [
            F.interpolate(level(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), size, mode='bilinear')
            for level, x in zip(self.levels, maps, strict=True)
        ]
        return self.fuse(torch.cat(maps[::-1], 1))


@MODELS.register_module()
class SegFormerHead(JoinedMaps):
    """The authors' head, which takes their weights and those of transformers.

    Args:
        in_channels: of the maps, finest first.
        channels: that all maps are brought to: 256 for B0 and B1, 768 for the larger ones.
        num_classes: K.
        dropout_ratio: of whole channels before the last layer.
        options: of mmsegmentation's `BaseDecodeHead`.
    """

    names = (
        *JoinedMaps.names,
        (r'^linear_c\.(\d)\.proj\.', r'levels.\1.'),
        (r'^fuse\.weight$', 'fuse.conv.weight'),
        (r'^batch_norm\.', 'fuse.bn.'),
        (r'^(linear_pred|classifier)\.', 'conv_seg.'),
    )

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        channels: int,
        num_classes: int,
        dropout_ratio: float = 0.1,
        **options: Any,
    ):
        super().__init__(
            in_channels=in_channels,
            width=channels,
            channels=channels,
            num_classes=num_classes,
            dropout_ratio=dropout_ratio,
            **options,
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """One (B, C_i, h_i, w_i) per in_channels -> scores (B, K, H, W) at the first map's size."""
        return self.cls_seg(self.join(inputs))

    def own_names(self, state_dict: StateDict) -> StateDict:
        """From the authors' names: their classifier is `linear_pred`, beside an inherited one that is never used."""
        unused = (r'^conv_seg\.',) if 'linear_pred.weight' in state_dict else ()
        return super().own_names(drop(state_dict, *unused))
