"""The linear decode head of plain backbones, whose maps have one stride.

It is DINOv2's and DINOv3's, https://github.com/facebookresearch/dinov2 (Apache-2.0): BatchNorm and one 1 x 1
convolution, on a backbone that is mostly frozen.

Legend: B batch, C channels, H W map, K classes.
"""

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys
from denseformer.registry import MODELS


@MODELS.register_module()
class LinearHead(RenamesKeys, BaseDecodeHead):
    """Maps resized to the first one's size, side by side, BatchNorm, and a linear classifier of each place.

    `dropout_ratio`, 0 unless given, is of whole channels in front of the BatchNorm; DINOv3's authors have 0.1.

    Args:
        in_channels: of the maps.
        num_classes: K.
        in_index: numbers of the maps among the backbone's; None for as many as in_channels, from the first on.
        options: those of mmsegmentation's `BaseDecodeHead`.
    """

    names = ((r'^(bn|batchnorm_layer)\.', 'norm.'), (r'^conv\.', 'conv_seg.'))  # DINOv2's and DINOv3's

    def __init__(
        self, *, in_channels: Sequence[int], num_classes: int, in_index: Sequence[int] | None = None, **options: Any
    ):
        super().__init__(
            list(in_channels),
            sum(in_channels),
            num_classes=num_classes,
            in_index=list(range(len(in_channels)) if in_index is None else in_index),
            input_transform='resize_concat',
            dropout_ratio=options.pop('dropout_ratio', 0.0),
            **options,
        )
        self.norm = nn.BatchNorm2d(self.channels)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """One (B, C_i, H_i, W_i) per map -> scores (B, K, H, W)."""
        x = self._transform_inputs(inputs)
        return self.conv_seg(self.norm(x if self.dropout is None else self.dropout(x)))
