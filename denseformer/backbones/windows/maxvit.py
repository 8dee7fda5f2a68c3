"""MaxViT: Multi-Axis Vision Transformer.

Paper: "MaxViT: Multi-Axis Vision Transformer", https://arxiv.org/abs/2204.01697.
Official code: https://github.com/google-research/maxvit (TensorFlow, Apache-2.0). Numbers and keys are those of the
port `maxvit_*_tf_*` in timm (Apache-2.0), https://github.com/huggingface/pytorch-image-models.

Every block is an inverted bottleneck with squeeze-and-excitation, then attention inside windows, then attention over a
grid: as many tokens as a window has, spread evenly over the whole map. The first block of each stage halves the map.
Maps are returned without a norm.

The port takes only sides that are multiples of 32 windows; here maps are padded on the right and at the bottom to whole
windows and grids, and the padding is never attended to. Strided convolutions pad as TensorFlow's 'SAME' does: nothing
on the left and at the top of an even map.

Legend: B batch, H W map, C channels, h heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.dilated_windows import dilated_window_attention
from denseformer.attention.windows import position_bias, resize_position_table
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.dynamic_shapes import ceil_div
from denseformer.layers import DropPath, Linear, Mlp, PreNormBlock, SqueezeExcite, drop_path_rates, to_channels_last
from denseformer.layers.initializers import narrow
from denseformer.network import Source
from denseformer.registry import MODELS

HEAD_WIDTH = 32
EXPANSION = 4
TABLE = 'relative_position_bias_table'
tanh_gelu = partial(nn.GELU, approximate='tanh')
batch_norm = partial(nn.BatchNorm2d, eps=1e-3)


class SameConv(nn.Conv2d):
    """3 x 3 convolution to ceil(H / stride) x ceil(W / stride), with an odd cell of padding at the far end."""

    def forward(self, x: Tensor) -> Tensor:
        down, across = (same_padding(x.shape[i], self.stride[0]) for i in (2, 3))
        return super().forward(F.pad(x, (*across, *down)))


def same_padding(size: int, stride: int) -> tuple[int, int]:
    """Cells before and after a side, for a kernel of 3 and a stride of at most 3."""
    total = 2 - (size - 1) % stride
    return total // 2, total - total // 2


class Stem(nn.Module):
    """Two convolutions, the first one strided: (B, in_channels, H, W) -> (B, ceil(H/2), ceil(W/2), dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.conv1 = SameConv(in_channels, dim, 3, 2)
        self.norm1 = batch_norm(dim)
        self.act = tanh_gelu()
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv2(self.act(self.norm1(self.conv1(to_channels_last(image)))))
        return x.permute(0, 2, 3, 1)  # (B, H/2, W/2, C)


class InvertedBottleneck(nn.Module):
    """Expansion, depth-wise convolution, squeeze-and-excitation, projection: (B, C, H, W) -> (B, out_dim, H', W').

    H' and W' are ceil(H / stride) and ceil(W / stride).
    """

    def __init__(self, dim: int, out_dim: int, *, stride: int, drop_path: float):
        super().__init__()
        hidden = EXPANSION * out_dim
        self.pool = nn.AvgPool2d(2, ceil_mode=True) if stride == 2 else nn.Identity()
        self.shortcut = nn.Conv2d(dim, out_dim, 1) if dim != out_dim else nn.Identity()
        self.pre_norm = batch_norm(dim)
        self.expand = nn.Conv2d(dim, hidden, 1, bias=False)
        self.norm1 = batch_norm(hidden)
        self.depthwise = SameConv(hidden, hidden, 3, stride, groups=hidden, bias=False)
        self.norm2 = batch_norm(hidden)
        self.squeeze = SqueezeExcite(hidden, out_dim // 4, act=nn.SiLU)
        self.project = nn.Conv2d(hidden, out_dim, 1)
        self.act = tanh_gelu()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(self.pool(x))
        x = self.act(self.norm1(self.expand(self.pre_norm(x))))
        x = self.squeeze(self.act(self.norm2(self.depthwise(x))))
        return shortcut + self.drop_path(self.project(x))


class AxisAttention(nn.Module):
    """Attention among window x window tokens, adjacent or, `grid`, spread over the map: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, *, window: int, grid: bool):
        super().__init__()
        self.heads, self.window, self.grid = dim // HEAD_WIDTH, (window, window), grid
        self.qkv = Linear(dim, 3 * dim)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, self.heads))
        self.proj = Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        (H, W), (wh, ww) = x.shape[1:3], self.window
        interval = (ceil_div(H, wh), ceil_div(W, ww)) if self.grid else (1, 1)
        bias = position_bias(self.relative_position_bias_table, self.window)
        return self.proj(
            dilated_window_attention(self.qkv(x), self.heads, group=self.window, dilation=interval, bias=bias)
        )


class Block(nn.Module):
    """Convolution, window attention, grid attention: (B, H, W, C) -> (B, H', W', out_dim)."""

    def __init__(self, dim: int, out_dim: int, *, window: int, stride: int, drop_path: float):
        super().__init__()
        self.conv = InvertedBottleneck(dim, out_dim, stride=stride, drop_path=drop_path)
        self.window, self.grid = (
            PreNormBlock(
                out_dim,
                AxisAttention(out_dim, window=window, grid=grid),
                Mlp(out_dim, EXPANSION * out_dim, act=tanh_gelu),
                drop_path=drop_path,
            )
            for grid in (False, True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H', W', C)
        return self.grid(self.window(x))


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """stem: channels of the stem."""

    stem: int


@MODELS.register_module()
class MaxViT(Backbone):
    """Multi-Axis Vision Transformer.

    Args:
        window_size: side of windows and grids in tokens. Published checkpoints have 7, 12 and 16, made for images of
            224, 384 and 512 pixels; tables of another size are resized bilinearly when they are loaded.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='MaxViT: Multi-Axis Vision Transformer, https://arxiv.org/abs/2204.01697',
        code='https://github.com/google-research/maxvit',
        license='Apache-2.0',
    )
    no_weight_decay = ('norm', TABLE)
    initial_weights = staticmethod(narrow)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        window_size: int = 7,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.window_size = window_size
        self.assemble(patch_embed=Stem(self.in_channels, self.arch.stem), stages=self._stages(drop_path_rate))

    def _stages(self, drop_path_rate: float) -> list[Stage]:
        stages, dim = [], self.arch.stem
        for width, rates in zip(self.arch.widths, drop_path_rates(drop_path_rate, self.arch.depths), strict=True):
            blocks = []
            for j, rate in enumerate(rates):
                stride = 1 if j else 2
                blocks.append(Block(dim, width, window=self.window_size, stride=stride, drop_path=rate))
                dim = width
            stages.append(Stage(blocks))
        return stages

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'MaxViT') -> StateDict:
        """From timm's classifier (`stages.i`) or feature extractor (`stages_i`); tables get this network's window."""
        renamed = rename(
            strip_classifier(state_dict, official=r'^stem\.'),
            (r'^stem\.', 'patch_embed.'),
            (r'^stages_(\d)\.', r'stages.\1.'),
            (r'\.attn_block\.', '.window.'),
            (r'\.attn_grid\.', '.grid.'),
            (r'\.conv\.shortcut\.expand\.', '.conv.shortcut.'),
            (r'\.conv1_1x1\.', '.expand.'),
            (r'\.conv2_kxk\.', '.depthwise.'),
            (r'\.conv3_1x1\.', '.project.'),
            (r'\.se\.', '.squeeze.'),
            (r'\.rel_pos\.', '.'),
        )
        return {key: adapt(key, value, network.window_size) for key, value in renamed.items()}


def adapt(key: str, value: Tensor, window: int) -> Tensor:
    """timm's 1 x 1 convolutions as linear layers, and its tables, (h, rows, columns) of key - query, as ours."""
    if '.squeeze.' in key and value.ndim == 4:
        return value.flatten(1)
    if not key.endswith(TABLE):
        return value
    if value.ndim == 3:
        value = value.flip(1, 2).flatten(1).T  # (rows * columns, h) of query - key
    return resize_position_table(value, (2 * window - 1) ** 2, 'bilinear')


MaxViT.archs = {
    'tiny': Arch(width=64, depths=(2, 2, 5, 2), stem=64),
    'small': Arch(width=96, depths=(2, 2, 5, 2), stem=64),
    'base': Arch(width=96, depths=(2, 6, 14, 2), stem=64),
    'large': Arch(width=128, depths=(2, 6, 14, 2), stem=128),
    'xlarge': Arch(width=192, depths=(2, 6, 14, 2), stem=192),
}
