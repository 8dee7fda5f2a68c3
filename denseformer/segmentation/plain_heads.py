"""Decode heads for plain backbones, whose maps have one stride: a linear one, and mmsegmentation's DPT.

The linear head is DINOv2's and DINOv3's, https://github.com/facebookresearch/dinov2 (Apache-2.0): BatchNorm and one
1 x 1 convolution, on a backbone that is mostly frozen. DPT is "Vision Transformers for Dense Prediction",
https://arxiv.org/abs/2103.13413.

Legend: B batch, C channels, H W map, P class token and registers, K classes.
"""

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads import DPTHead as MMSegDPTHead
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


@MODELS.register_module()
class DPTHead(MMSegDPTHead):
    """mmsegmentation's DPT, for four maps of a plain backbone.

    Args:
        in_channels: of the maps, all the same.
        readout: what becomes of the class token: 'ignore', 'add' or 'project'; the two last ones want a backbone with
            `output_tokens=True`.
        post_process_channels: of the maps at a quarter of the patch's stride, half of it, the stride itself, and twice.
        channels: of the maps that are merged.
        options: those of mmsegmentation's `BaseDecodeHead`.

    Raises ValueError for another number of maps, and where tokens are wanted and not given.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        readout: str = 'ignore',
        post_process_channels: Sequence[int] = (96, 192, 384, 768),
        channels: int = 256,
        **options: Any,
    ):
        if len(in_channels) != len(post_process_channels) or len(set(in_channels)) > 1:
            raise ValueError(f'DPT takes {len(post_process_channels)} maps of one width, got {tuple(in_channels)}.')
        super().__init__(
            embed_dims=in_channels[0],
            readout_type=readout,
            post_process_channels=list(post_process_channels),
            in_channels=list(in_channels),
            channels=channels,
            input_transform='multiple_select',
            in_index=options.pop('in_index', list(range(len(in_channels)))),
            **options,
        )

    def forward(self, inputs: Sequence[Tensor] | Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Maps (B, C, H, W), or pairs of a map and tokens (B, P, C) -> scores (B, K, 8H, 8W)."""
        if isinstance(inputs[0], Tensor):
            if self.reassemble_blocks.readout_type != 'ignore':
                raise ValueError('readout needs the class token: build the backbone with output_tokens=True.')
            return super().forward([(x, x.new_zeros(len(x), x.shape[1])) for x in inputs])
        return super().forward([(x, tokens[:, 0]) for x, tokens in inputs])
