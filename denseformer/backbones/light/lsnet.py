"""LSNet: a large kernel sees what a small one, made for each pixel, then gathers.

Paper: "LSNet: See Large, Focus Small", https://arxiv.org/abs/2503.23135.
Official code: https://github.com/jameslahm/lsnet (no licence file).

Blocks alternate: a depth-wise convolution with squeeze-and-excitation, then a token mixer. In the first three stages
that is LS convolution, where 7 x 7 convolutions predict 3 x 3 kernels for every pixel; in the last one it is attention
over the whole map. There a bias per head and distance is learned for a grid of 14 x 14; as in the authors' dense code
the matrix of all pairs of that grid, as if it were an image, is resized bicubically to that of the map's own pairs.

Four maps, at strides 8, 16, 32 and 64, are returned as they are; a side of length L becomes ceil(L / stride). The
published dense networks keep BatchNorm's statistics of ImageNet (`norm_eval`) and have no stochastic depth.

Legend: B batch, H W map, N = H * W tokens, C channels, G kernels of a pixel, h heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.small_kernel import small_kernel_aggregation
from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import resize_position_table
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import CONV_NORM, StateDict, drop, linear_from_pointwise, rename, strip_classifier
from denseformer.layers import (
    ConvNorm,
    ConvNormMlp,
    ConvNormStem,
    DistanceBias,
    DropPath,
    SqueezeExcite,
    TwinConv,
    drop_path_rates,
    squeezed,
)
from denseformer.layers.initializers import pytorch
from denseformer.network import Source
from denseformer.registry import MODELS

SHARING = 8
"""Channels that share a kernel."""
QUERY_WIDTH = 16
GRID = 14


class KernelPredictor(nn.Module):
    """3 x 3 kernels of every pixel from its 7 x 7 neighborhood: (B, C, H, W) -> (B, G, 9, H, W)."""

    def __init__(self, dim: int):
        super().__init__()
        hidden, kernels = dim // 2, dim // SHARING
        self.conv1 = ConvNorm(dim, hidden, act=nn.ReLU)
        self.conv2 = ConvNorm(hidden, hidden, 7, groups=hidden)
        self.conv3 = ConvNorm(hidden, hidden, act=nn.ReLU)
        self.conv4 = nn.Conv2d(hidden, 9 * kernels, 1)
        self.norm = nn.GroupNorm(kernels, 9 * kernels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv4(self.conv3(self.conv2(self.conv1(x))))
        return self.norm(x).unflatten(1, (-1, 9))


class LSConv(nn.Module):
    """Convolution with kernels predicted for every pixel: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.kernels = KernelPredictor(dim)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(small_kernel_aggregation(x, self.kernels(x)))


class PairBias(DistanceBias):
    """The bias between all tokens of a map, resized from that of a grid: forward(N, dtype) -> (h, N, N)."""

    def __init__(self, heads: int):
        super().__init__((GRID, GRID), heads)

    def forward(self, tokens: int, dtype: torch.dtype) -> Tensor:
        return self.cached((tokens, dtype), lambda: self.resized(tokens).to(dtype))

    def resized(self, tokens: int) -> Tensor:
        return F.interpolate(self.build()[None], (tokens, tokens), mode='bicubic', align_corners=False)[0]


class Attention(nn.Module):
    """Attention over the whole map, queries convolved first: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.widths = [heads * QUERY_WIDTH, heads * QUERY_WIDTH, dim]
        self.qkv = ConvNorm(dim, sum(self.widths))
        self.query_conv = ConvNorm(self.widths[0], self.widths[0], 3, groups=self.widths[0])
        self.bias = PairBias(heads)
        self.proj = ConvNorm(dim, dim, zero_init=True)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        q, k, v = self.qkv(x).split(self.widths, 1)
        q, k, v = (
            x.permute(0, 2, 3, 1).flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, h, N, ..)
            for x in (self.query_conv(q), k, v)
        )
        out = window_softmax_attention(q, k, v, self.bias(H * W, q.dtype)[None])  # (B, N, C)
        return self.proj(F.relu(out.unflatten(1, (H, W)).permute(0, 3, 1, 2)))


class ConvBlock(nn.Module):
    """Depth-wise convolution, squeeze-and-excitation, then a residual MLP: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, drop_path: float):
        super().__init__()
        self.conv = TwinConv(dim, dim, large=3, small=1, identity=True)
        self.se = SqueezeExcite(dim, squeezed(dim), act=nn.ReLU)
        self.mlp = ConvNormMlp(dim, 2 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = self.se(self.conv(x))
        return x + self.drop_path(self.mlp(x))


class MixerBlock(nn.Module):
    """A token mixer and an MLP, both residual: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, attn: nn.Module, drop_path: float):
        super().__init__()
        self.attn = attn
        self.mlp = ConvNormMlp(dim, 2 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(x))
        return x + self.drop_path(self.mlp(x))


class Downsample(nn.Sequential):
    """Strided depth-wise convolution, then a 1 x 1 one: (B, C, H, W) -> (B, out_dim, ceil(H/2), ceil(W/2))."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__(ConvNorm(dim, dim, 3, 2, groups=dim), ConvNorm(dim, out_dim))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """heads: of the attention in the last stage."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: int = 4


@MODELS.register_module()
class LSNet(Backbone):
    """LSNet."""

    source = Source(
        paper='LSNet: See Large, Focus Small, https://arxiv.org/abs/2503.23135',
        code='https://github.com/jameslahm/lsnet',
        license='none stated',
    )
    strides = (8, 16, 32, 64)
    channels_last = False
    no_weight_decay = ('bias.table',)
    initial_weights = staticmethod(pytorch)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            blocks = [self._block(i, j, rate) for j, rate in enumerate(rates)]
            stages.append(Stage(blocks, Downsample(widths[i - 1], widths[i]) if i else None))
        stem = ConvNormStem(self.in_channels, (widths[0] // 4, widths[0] // 2, widths[0]))
        self.assemble(patch_embed=stem, stages=stages)

    def _block(self, stage: int, index: int, drop_path: float) -> nn.Module:
        dim = self.arch.widths[stage]
        if index % 2 == 0:
            return ConvBlock(dim, drop_path)
        last = stage == len(self.arch.widths) - 1
        return MixerBlock(dim, Attention(dim, self.arch.heads) if last else LSConv(dim), drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'LSNet') -> StateDict:
        """From `blocks1` .. `blocks4`, all but the first of which open with the two parts of their downsampling."""
        state_dict = drop(state_dict, r'\.attention_bias_idxs$')
        renamed = rename(
            strip_classifier(state_dict, official=r'^blocks\d\.', classifier=(r'^head(_dist)?\.',)),
            (r'^patch_embed\.([024])\.(c|bn)\.', lambda match: f'patch_embed.{int(match[1]) // 2}.{match[2]}.'),
            (r'^blocks1\.(\d+)\.', r'stages.0.blocks.\1.'),
            (r'^blocks(\d)\.([01])\.', lambda match: f'stages.{int(match[1]) - 1}.downsample.{match[2]}.'),
            (r'^blocks(\d)\.(\d+)\.', lambda match: f'stages.{int(match[1]) - 1}.blocks.{int(match[2]) - 2}.'),
            (r'\.mixer\.conv\.', '.conv.large.'),
            (r'\.mixer\.conv1\.', '.conv.small.'),
            (r'\.mixer\.lkp\.cv(\d)\.', r'.attn.kernels.conv\1.'),
            (r'\.mixer\.lkp\.norm\.', '.attn.kernels.norm.'),
            (r'\.mixer\.bn\.', '.attn.norm.'),
            (r'\.mixer\.m\.attention_biases$', '.attn.bias.table'),
            (r'\.mixer\.m\.dw\.', '.attn.query_conv.'),
            (r'\.mixer\.m\.proj\.1\.', '.attn.proj.'),
            (r'\.mixer\.m\.', '.attn.'),
            (r'\.ffn\.m\.pw([12])\.', r'.mlp.fc\1.'),
            *CONV_NORM,
        )
        tables = {key: value for key, value in renamed.items() if key.endswith('.bias.table')}
        renamed |= {key: resize_position_table(table.T, GRID**2).T for key, table in tables.items()}
        return linear_from_pointwise(renamed, r'\.se\.fc[12]\.weight$')


LSNet.archs = {
    'tiny': Arch(widths=(64, 128, 256, 384), depths=(0, 2, 8, 10)),
    'small': Arch(widths=(96, 192, 320, 448), depths=(1, 2, 8, 10)),
    'base': Arch(widths=(128, 256, 384, 512), depths=(4, 6, 8, 10)),
}
