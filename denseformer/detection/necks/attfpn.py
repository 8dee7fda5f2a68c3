"""AttFPN: every level of a feature pyramid selects from all of them, by channel and by position.

Paper: "PIDray: A Large-scale X-ray Benchmark for Real-World Prohibited Item Detection",
https://arxiv.org/abs/2211.10763, whose detector is SDANet. Official: https://github.com/lutao2021/PIDray (no licence at
its top; written from the paper and from what the code returns).

While training, a batch has two images at least: BatchNorm follows global pooling.

Legend: B batch, L levels, C channels, H W a level.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import ContextBlock
from mmdet.models.necks import FPN
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.necks.fpn import first_of
from denseformer.registry import MODELS

NAMES: tuple[Rule, ...] = (
    (r'^selective_attention_(\d)\.', r'selections.\1.'),
    (r'\.channel_att\.fc\.', '.squeeze.'),
    (r'\.channel_att\.fcs\.', '.excite.'),
    (r'\.spatial_att\.conv\.', '.places.'),
)


class Selection(nn.Module):
    """Levels at one size -> what one of them selects: (B, L, C, H, W) -> (B, C, H, W)."""

    def __init__(self, dim: int, levels: int):
        super().__init__()
        self.squeeze = nn.Sequential(
            nn.Conv2d(dim, dim // 2, 1, bias=False), nn.BatchNorm2d(dim // 2), nn.ReLU(inplace=True)
        )
        self.excite = nn.ModuleList(nn.Conv2d(dim // 2, dim, 1) for _ in range(levels))
        self.places = nn.ModuleList(nn.Conv2d(2, 1, 7, padding=3, bias=False) for _ in range(levels))
        self.refine = ContextBlock(dim, 1 / 16)

    def forward(self, levels: Tensor) -> Tensor:
        total = levels.sum(1)
        pooled = self.squeeze(total.mean((2, 3), keepdim=True))
        channels = torch.stack([conv(pooled) for conv in self.excite], 1).softmax(1)  # (B, L, C, 1, 1)
        extremes = torch.cat([total.mean(1, keepdim=True), total.amax(1, keepdim=True)], 1)
        places = torch.stack([conv(extremes) for conv in self.places], 1).softmax(1)  # (B, L, 1, H, W)
        return self.refine((levels * channels).sum(1) + (levels * places).sum(1))


@MODELS.register_module()
class AttFPN(RenamesKeys, FPN):
    """mmdetection's `FPN`, whose levels add what they select from all of them; same arguments.

    out_channels: a multiple of 16. in_strides, out_strides: of the maps and the levels, in place of start_level.

    Raises ValueError for strides that do not fit each other.
    """

    names = NAMES

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        *,
        in_strides: Sequence[int] | None = None,
        out_strides: Sequence[int] | None = None,
        **options: Any,
    ):
        if in_strides is not None and out_strides is not None:
            options['start_level'] = first_of(in_strides, out_strides)
        super().__init__(list(in_channels), out_channels, num_outs, **options)
        self.selections = nn.ModuleList(Selection(out_channels, num_outs) for _ in range(num_outs))

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        levels = super().forward(inputs)
        return tuple(
            level + select(self.gathered(levels, i))
            for i, (level, select) in enumerate(zip(levels, self.selections, strict=True))
        )

    @staticmethod
    def gathered(levels: Sequence[Tensor], at: int) -> Tensor:
        """All levels at the size of one, (B, L, C, H, W): the maxima of finer ones, coarser ones repeated."""
        size = levels[at].shape[2:]
        finer = [F.adaptive_max_pool2d(x, size) for x in levels[:at]]
        return torch.stack([*finer, *(F.interpolate(x, size, mode='nearest') for x in levels[at:])], 1)
