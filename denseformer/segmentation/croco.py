"""CroCo v2's DPT head, with a score of each class in place of a depth.

Papers: "CroCo v2: Improved Cross-view Completion Pre-training for Stereo Matching and Optical Flow",
https://arxiv.org/abs/2211.10408, after "Vision Transformers for Dense Prediction", https://arxiv.org/abs/2103.13413.
Official code: https://github.com/naver/croco (CC BY-NC-SA 4.0, code and weights).

mmsegmentation's DPT is the one for classes: its residual units have BatchNorm and no bias, and its scores lie at half
the image's size. This is the one for depth and flow, whose scores are as fine as the image.

Legend: B batch, C channels, H W map, K classes.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, StateDict, drop
from denseformer.registry import MODELS
from denseformer.segmentation.segmentor import SystemHead


class ResidualUnit(nn.Module):
    """Two convolutions, each behind a ReLU, and the map itself: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Fusion(nn.Module):
    """A level (B, C, H, W), with the coarser ones that were merged, if any, at this size or more -> (B, C, 2H, 2W)."""

    def __init__(self, dim: int, *, is_coarsest: bool):
        super().__init__()
        self.skip = None if is_coarsest else ResidualUnit(dim)
        self.merged = ResidualUnit(dim)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, level: Tensor, coarser: Tensor | None) -> Tensor:
        if self.skip is not None and coarser is not None:
            H, W = level.shape[2:]
            level = self.skip(level) + coarser[:, :, :H, :W]
        return doubled(self.proj(self.merged(level)))  # before the map is enlarged, for a quarter of the products


def doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)


@MODELS.register_module()
class CroCoHead(SystemHead, RenamesKeys, BaseDecodeHead):
    """Four maps of a plain backbone, resized to a pyramid and merged from the coarsest on.

    In a `Segmentor` on CroCo it takes the authors' finished models whole.

    Args:
        in_channels: of the maps, which lie at one stride.
        num_classes: K.
        post_process_channels: of the maps at a quarter of the patch's stride, half of it, the stride itself, and twice.
        width: C of the maps that are merged.
        channels: in front of the classifier.
        options: of mmsegmentation's `BaseDecodeHead`.

    Raises ValueError for another number of maps than four.
    """

    official = ((r'^head\.dpt\.', 'decode_head.'), (r'^(patch_embed|enc_blocks|enc_norm)\.', r'backbone.\1.'))
    names = (
        (r'^act_(\d)_postprocess\.', lambda match: f'act_postprocess.{int(match[1]) - 1}.'),
        (r'^act_postprocess\.(\d)\.0\.', r'projects.\1.'),
        (r'^act_postprocess\.(\d)\.1\.', r'resizes.\1.'),
        (r'^scratch\.layer(\d)_rn\.', lambda match: f'scratch.layer_rn.{int(match[1]) - 1}.'),
        (r'^scratch\.layer_rn\.(\d)\.', r'levels.\1.'),
        (r'^scratch\.refinenet(\d)\.', lambda match: f'fusions.{int(match[1]) - 1}.'),
        (r'\.resConfUnit1\.', '.skip.'),
        (r'\.resConfUnit2\.', '.merged.'),
        (r'\.out_conv\.', '.proj.'),
        (r'^head\.0\.', 'narrow.'),
        (r'^head\.2\.', 'last.'),
        (r'^head\.4\.', 'conv_seg.'),
    )

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        num_classes: int,
        post_process_channels: Sequence[int] = (96, 192, 384, 768),
        width: int = 256,
        channels: int = 32,
        **options: Any,
    ):
        if len(in_channels) != 4 or len(post_process_channels) != 4:
            raise ValueError(
                f'Four maps make a pyramid of four levels: in_channels={tuple(in_channels)} has {len(in_channels)}, '
                f'post_process_channels={tuple(post_process_channels)} {len(post_process_channels)}.'
            )
        super().__init__(
            list(in_channels),
            channels,
            num_classes=num_classes,
            in_index=list(options.pop('in_index', range(4))),
            input_transform='multiple_select',
            dropout_ratio=options.pop('dropout_ratio', 0.0),
            **options,
        )
        dims = post_process_channels
        self.projects = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(in_channels, dims, strict=True))
        self.resizes = nn.ModuleList(
            [
                nn.ConvTranspose2d(dims[0], dims[0], 4, 4),
                nn.ConvTranspose2d(dims[1], dims[1], 2, 2),
                nn.Identity(),
                nn.Conv2d(dims[3], dims[3], 3, 2, 1),
            ]
        )
        self.levels = nn.ModuleList(nn.Conv2d(dim, width, 3, padding=1, bias=False) for dim in dims)
        self.fusions = nn.ModuleList(Fusion(width, is_coarsest=i == 3) for i in range(4))
        self.narrow = nn.Conv2d(width, width // 2, 3, padding=1)
        self.last = nn.Conv2d(width // 2, channels, 3, padding=1)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """One (B, C_i, H, W) per map -> scores (B, K, 16H, 16W)."""
        maps = self._transform_inputs(inputs)
        parts = zip(self.projects, self.resizes, self.levels, maps, strict=True)
        levels = [level(resize(project(x))) for project, resize, level, x in parts]
        merged: Tensor | None = None
        for fuse, level in zip(reversed(self.fusions), reversed(levels), strict=True):
            merged = fuse(level, merged)
        return self.cls_seg(F.relu(self.last(doubled(self.narrow(merged)))))

    def own_names(self, state_dict: StateDict) -> StateDict:
        """From the authors' names, of which some are two for one layer: the later one counts, as with them."""
        return super().own_names(drop(state_dict, r'^scratch\.refinenet4\.resConfUnit1\.'))
