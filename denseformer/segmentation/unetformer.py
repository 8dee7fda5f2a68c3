"""UNetFormer's decoder: windows of attention beside convolutions, from the coarsest map of a pyramid to the finest.

Paper: "UNetFormer: A UNet-like Transformer for Efficient Semantic Segmentation of Remote Sensing Urban Scene Imagery",
https://arxiv.org/abs/2109.08937. Official: https://github.com/WangLibo1995/GeoSeg and, with LWGANet,
https://github.com/AeroVILab-AHU/LWGANet (both GPL-3.0; written from the paper and from what the code returns).

Particular: what the windows gather is averaged along columns and along rows, so that windows exchange something, and a
square depth-wise convolution of the window's side follows. The official code takes sides that are multiples of 256;
here a map is reflected on the right and at the bottom up to whole windows.

Legend: B batch, C channels, h w a map, N tokens of a window.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.attention.windows import window_attention, window_partition, window_reverse
from denseformer.checkpoints.keys import Rule
from denseformer.layers import (
    ConvNorm,
    DropPath,
    RelativePositionBias,
    reflect_image_to,
    reflect_image_to_multiple,
)
from denseformer.registry import MODELS
from denseformer.segmentation.segmentor import DeepSupervisionHead

active_conv = partial(ConvNorm, act=nn.ReLU6)


class SeparableConv(nn.Module):
    """A depth-wise convolution, BatchNorm and a 1 x 1 convolution; an even kernel shortens each side by one."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        padding = (kernel_size - 1) // 2
        self.dwconv = nn.Conv2d(dim, dim, kernel_size, padding=padding, groups=dim, bias=False)
        self.norm = nn.BatchNorm2d(dim)
        self.pwconv = nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pwconv(self.norm(self.dwconv(x)))


class GlobalLocalAttention(nn.Module):
    """Attention in windows, spread along rows and columns, beside convolutions: (B, C, h, w) -> the same."""

    def __init__(self, dim: int, heads: int, window: int):
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=False)
        self.bias = RelativePositionBias((window, window), heads)
        self.near = ConvNorm(dim, dim, 3)
        self.point = ConvNorm(dim, dim)
        self.proj = SeparableConv(dim, window)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        side, reach = self.window, self.window // 2 - 1
        local = self.point(x) + self.near(x)
        x = self.attend(reflect_image_to_multiple(x, side))[:, :, :h, :w]
        columns = F.avg_pool2d(reflect_image_to(x, (h + 1, w)), (side, 1), 1, (reach, 0))
        rows = F.avg_pool2d(reflect_image_to(x, (h, w + 1)), (1, side), 1, (0, reach))
        return self.proj(reflect_image_to(columns + rows + local, (h + 1, w + 1)))

    def attend(self, x: Tensor) -> Tensor:
        window = (self.window, self.window)
        qkv = self.qkv(x).permute(0, 2, 3, 1)  # (B, h, w, 3C)
        out = window_attention(window_partition(qkv, window), self.heads, self.bias(x.dtype))  # (B, n, N, C)
        return window_reverse(out, window, x.shape[2:]).permute(0, 3, 1, 2)  # (B, C, h, w)


class ConvFeedForward(nn.Module):
    """An MLP of 1 x 1 convolutions with ReLU6: (B, C, h, w) -> the same."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.relu6(self.fc1(x)))


class Block(nn.Module):
    """(B, C, h, w) -> the same."""

    def __init__(self, dim: int, heads: int, window: int, drop_path_rate: float):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(dim)
        self.attn = GlobalLocalAttention(dim, heads, window)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = ConvFeedForward(dim, 4 * dim)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class WeightedFusion(nn.Module):
    """A map of the backbone and the decoder's enlarged one, in learned shares: -> (B, C, h, w) of the backbone's."""

    def __init__(self, in_dim: int, dim: int):
        super().__init__()
        self.shares = nn.Parameter(torch.ones(2))
        self.pre_conv = nn.Conv2d(in_dim, dim, 1, bias=False)
        self.post_conv = active_conv(dim, dim, 3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, skip.shape[2:], mode='bilinear')
        shares = self.shares.relu()
        own, coarse = shares / (shares.sum() + 1e-8)
        return self.post_conv(own * self.pre_conv(skip) + coarse * x)


class FeatureRefinement(WeightedFusion):
    """The fusion with the finest map, then a gate for each position and channel beside one for each channel."""

    def __init__(self, in_dim: int, dim: int):
        super().__init__(in_dim, dim)
        self.gate = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.squeeze = nn.Conv2d(dim, dim // 16, 1, bias=False)
        self.excite = nn.Conv2d(dim // 16, dim, 1, bias=False)
        self.shortcut = ConvNorm(dim, dim)
        self.proj = SeparableConv(dim, 3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = super().forward(x, skip)
        channels = self.excite(F.relu6(self.squeeze(x.mean((2, 3), keepdim=True))))
        return F.relu6(self.proj(x * self.gate(x).sigmoid() + x * channels.sigmoid()) + self.shortcut(x))


@MODELS.register_module()
class UNetFormerHead(DeepSupervisionHead):
    """The decoder, for four maps of any backbone, finest first.

    While training it returns the scores and those of its three coarser maps together.

    Args:
        in_channels, num_classes, options: as in `DeepSupervisionHead`.
        channels: of the decoder, a multiple of 16 and of `heads`.
        heads, window: of the attention.
        drop_path_rate: stochastic depth of the three blocks.

    Raises ValueError for other numbers of maps or channels.
    """

    official: ClassVar[tuple[Rule, ...]] = ((r'^net\.', ''), (r'^decoder\.', 'decode_head.'))
    names: ClassVar[tuple[Rule, ...]] = (
        (r'^pre_conv\.0\.', 'pre_conv.conv.'),
        (r'^pre_conv\.1\.', 'pre_conv.norm.'),
        (r'^b([432])\.', lambda match: f'blocks.{4 - int(match[1])}.'),
        (r'^p([321])\.', lambda match: f'fusions.{3 - int(match[1])}.'),
        (r'\.relative_position_bias_table$', '.bias.table'),
        (r'\.qkv\.0\.', '.qkv.'),
        (r'\.local1\.', '.near.'),
        (r'\.local2\.', '.point.'),
        (r'\.proj\.0\.', '.proj.dwconv.'),
        (r'\.proj\.1\.', '.proj.norm.'),
        (r'\.proj\.2\.', '.proj.pwconv.'),
        (r'\.weights$', '.shares'),
        (r'\.pre_conv\.0\.', '.pre_conv.'),
        (r'\.(near|point|post_conv|shortcut)\.0\.', r'.\1.conv.'),
        (r'\.(near|point|post_conv|shortcut)\.1\.', r'.\1.norm.'),
        (r'\.pa\.0\.', '.gate.'),
        (r'\.ca\.1\.0\.', '.squeeze.'),
        (r'\.ca\.3\.0\.', '.excite.'),
        (r'^segmentation_head\.0\.0\.', 'head.conv.'),
        (r'^segmentation_head\.0\.1\.', 'head.norm.'),
        (r'^segmentation_head\.2\.0\.', 'conv_seg.'),
        (r'^aux_head\.conv\.0\.', 'auxiliary.conv.'),
        (r'^aux_head\.conv\.1\.', 'auxiliary.norm.'),
        (r'^aux_head\.conv_out\.0\.', 'auxiliary_seg.'),
    )

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        channels: int = 64,
        heads: int = 8,
        window: int = 8,
        drop_path_rate: float = 0.0,
        **options: Any,
    ):
        if len(in_channels) != 4:
            raise ValueError(
                f'UNetFormerHead takes four maps, in_channels={tuple(in_channels)} are {len(in_channels)}.'
            )
        if channels % 16 or channels % heads:
            raise ValueError(f'channels={channels} must be a multiple of 16 and of heads={heads}.')
        super().__init__(in_channels=in_channels, channels=channels, **{'dropout_ratio': 0.1, **options})
        finest, *finer, coarsest = in_channels
        self.conv_seg = nn.Conv2d(channels, self.out_channels, 1, bias=False)
        self.pre_conv = ConvNorm(coarsest, channels)
        self.blocks = nn.ModuleList(Block(channels, heads, window, drop_path_rate) for _ in range(3))
        self.fusions = nn.ModuleList(WeightedFusion(width, channels) for width in reversed(finer))
        self.fusions.append(FeatureRefinement(finest, channels))
        self.head = active_conv(channels, channels, 3)
        self.auxiliary = active_conv(channels, channels, 3)
        self.auxiliary_dropout = nn.Dropout(self.dropout_ratio)
        self.auxiliary_seg = nn.Conv2d(channels, self.out_channels, 1, bias=False)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        finest, fine, coarse, coarsest = self._transform_inputs(inputs)
        first = self.blocks[0](self.pre_conv(coarsest))
        second = self.blocks[1](self.fusions[0](first, coarse))
        third = self.blocks[2](self.fusions[1](second, fine))
        scores = self.cls_seg(self.head(self.fusions[2](third, finest)))
        if not self.training:
            return scores
        enlarged = (F.interpolate(x, third.shape[2:], mode='bilinear', align_corners=True) for x in (first, second))
        return scores, self.auxiliary_seg(self.auxiliary_dropout(self.auxiliary(sum(enlarged, third))))
