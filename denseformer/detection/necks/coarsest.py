"""Necks of mmdetection's detectors that take the coarsest maps of a backbone, whichever their number and strides are.

`ChannelMapper` is Deformable DETR's and its successors', https://arxiv.org/abs/2010.04159; `CSPNeXtPAFPN` is RTMDet's,
https://arxiv.org/abs/2212.07784. Parameters have the names that they have there.

Legend: B batch, C channels, H W a map.
"""

from collections.abc import Sequence

from mmdet.models import necks
from torch import Tensor

from denseformer.registry import MODELS


@MODELS.register_module()
class ChannelMapper(necks.ChannelMapper):
    """One level per map, each from its map alone, and coarser levels by strided convolutions.

    Args:
        in_channels: of the backbone's maps, finest first. The coarsest `num_outs - 1` are used, so that at least one
            level is coarser than they.
        out_channels: of every level, a multiple of 32.
        num_outs: the number of levels, 2 or more.
    """

    def __init__(self, *, in_channels: Sequence[int], out_channels: int, num_outs: int):
        if num_outs < 2:
            raise ValueError(f'num_outs={num_outs}: one level is coarser than the maps, so there are 2 at least.')
        norm = dict(type='GN', num_groups=32)
        used = list(in_channels)[1 - num_outs :]
        super().__init__(used, out_channels, kernel_size=1, norm_cfg=norm, act_cfg=None, num_outs=num_outs)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One (B, C_i, H_i, W_i) per in_channels -> `num_outs` levels (B, out_channels, H_j, W_j)."""
        return super().forward(maps[-len(self.convs) :])


@MODELS.register_module()
class CSPNeXtPAFPN(necks.CSPNeXtPAFPN):
    """Maps that are fused from coarse to fine and back.

    Args:
        in_channels: of the backbone's maps, finest first, of which the coarsest `num_outs` are used; each is exactly
            twice as high and wide as the next.
        out_channels: of every level.
        num_outs: the number of levels.
        num_csp_blocks: how deep each fusion is.
        norm_cfg: mmcv's; None is mmdetection's BatchNorm.

    Raises ValueError for more levels than maps.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        num_csp_blocks: int = 3,
        norm_cfg: dict | None = None,
    ):
        if num_outs > len(in_channels):
            raise ValueError(f'num_outs={num_outs} levels need as many maps: in_channels={tuple(in_channels)}.')
        norm = {} if norm_cfg is None else {'norm_cfg': norm_cfg}
        used = in_channels[len(in_channels) - num_outs :]
        super().__init__(used, out_channels, num_csp_blocks=num_csp_blocks, **norm)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One (B, C_i, H_i, W_i) per in_channels -> `num_outs` levels (B, out_channels, H_j, W_j)."""
        return super().forward(maps[-len(self.in_channels) :])
