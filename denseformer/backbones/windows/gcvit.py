"""GC ViT: Global Context Vision Transformers.

Paper: "Global Context Vision Transformers", https://arxiv.org/abs/2206.09959.
Official code: https://github.com/NVlabs/GCVit (NVIDIA Source Code License, non-commercial; this is an independent
implementation).

Blocks alternate between attention inside windows and attention of global queries: once per stage the map is convolved
and shrunk to the size of one window, and these queries look into every window. Maps are zero-padded to whole windows
after the normalisation, and the padding is attended to, as the published models were trained.

Windows have 24 x 24 tokens in the dense models and 7, 7, 14, 7 on ImageNet; position tables are resized bicubically
when a checkpoint of the other kind is loaded. The third stage halves its map on the way to the queries, as the first
two do, unless its window is the stage's whole map of an image of the pre-training size: on ImageNet it is, in the dense
models it is not.

Legend: B batch, H W map, C channels, n windows per map, N tokens per window, h heads, d head width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import (
    position_bias,
    resize_position_table,
    window_attention,
    window_partition,
    window_reverse,
)
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.dynamic_shapes import same_size
from denseformer.layers import (
    Linear,
    Mlp,
    PreNormBlock,
    SqueezeExcite,
    drop_path_rates,
    pad_to_multiple,
    to_channels_last,
)
from denseformer.network import Source
from denseformer.registry import MODELS


class ResidualConv(nn.Sequential):
    """Depth-wise convolution, squeeze-and-excitation and a mix of channels, residual: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__(
            nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False),
            nn.GELU(),
            SqueezeExcite(dim, dim // 4, bias=False),
            nn.Conv2d(dim, dim, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Downsample(nn.Module):
    """Norm, residual convolution, strided convolution, norm: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), out_dim)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.conv = ResidualConv(dim)
        self.reduction = nn.Conv2d(dim, out_dim, 3, 2, 1, bias=False)
        self.norm2 = nn.LayerNorm(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduction(self.conv(self.norm1(x).permute(0, 3, 1, 2)))  # (B, C, H/2, W/2)
        return self.norm2(x.permute(0, 2, 3, 1))  # (B, H/2, W/2, C)


class Stem(nn.Module):
    """A strided convolution, then `Downsample`: (B, in_channels, H, W) -> (B, ceil(H/4), ceil(W/4), dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, 3, 2, 1)
        self.downsample = Downsample(dim, dim)

    def forward(self, image: Tensor) -> Tensor:
        return self.downsample(self.proj(to_channels_last(image)).permute(0, 2, 3, 1))


class GlobalQuery(nn.Module):
    """The map, brought to the size of a window: (B, H, W, C) -> queries (B, N, C).

    convs: how many residual convolutions; halve: whether each is followed by a pooling that halves the map.
    """

    def __init__(self, dim: int, window: int, *, convs: int, halve: bool):
        super().__init__()
        self.window = (window, window)
        self.convs = nn.ModuleList(ResidualConv(dim) for _ in range(convs))
        self.pool = nn.MaxPool2d(3, 2, 1) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # (B, C, H, W)
        for conv in self.convs:
            x = self.pool(conv(x))
        if not same_size(x.shape[2:], self.window):
            x = F.interpolate(x, self.window, mode='bicubic', align_corners=False)
        return x.flatten(2).transpose(1, 2)  # (B, N, C)


class WindowAttention(nn.Module):
    """Attention inside windows: (B, H, W, C) -> the same.

    is_global: queries are not made from the map but given to `forward`, and each window answers all of them.
    """

    def __init__(self, dim: int, heads: int, *, window: int, is_global: bool):
        super().__init__()
        self.heads, self.window, self.is_global = heads, (window, window), is_global
        self.qkv = Linear(dim, (2 if is_global else 3) * dim)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.proj = Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, queries: Tensor) -> Tensor:
        _, H, W, _ = x.shape
        x = pad_to_multiple(x, self.window)
        windows = self.qkv(window_partition(x, self.window))  # (B, n, N, 2C or 3C)
        bias = position_bias(self.relative_position_bias_table, self.window)
        if self.is_global:
            out = given_query_attention(queries, windows, self.heads, bias)
        else:
            out = window_attention(windows, self.heads, bias)
        return self.proj(window_reverse(out, self.window, x.shape[1:3])[:, :H, :W])


def given_query_attention(queries: Tensor, kv: Tensor, heads: int, bias: Tensor) -> Tensor:
    """Softmax attention of the same queries inside every window.

    queries: (B, N, C); kv: (B, n, N, 2C), laid out (2, h, d) on the last axis; bias: (h, N, N) -> (B, n, N, C).
    """
    B, n, N, _ = kv.shape
    q = queries.to(kv.dtype).view(B, 1, N, heads, -1).expand(-1, n, -1, -1, -1).flatten(0, 1).transpose(1, 2)
    k, v = kv.view(B * n, N, 2, heads, -1).permute(2, 0, 3, 1, 4)  # each (B*n, h, N, d)
    out = window_softmax_attention(q, k, v, bias[None].to(kv.dtype))  # (B*n, N, C)
    return out.view(B, n, N, -1)


class GlobalStage(Stage):
    """A stage whose blocks are all given the queries made from the map that enters it."""

    def __init__(self, blocks: Sequence[nn.Module], query: nn.Module, downsample: nn.Module | None):
        super().__init__(blocks, downsample)
        self.query = query

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        queries = self.query(x)
        for block in self.blocks:
            x = self.run(block, x, queries)
        return x


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """heads: per stage; layer_scale: where the gain of each residual branch starts, None for branches without."""

    heads: tuple[int, ...]
    mlp_ratio: int
    layer_scale: float | None = None


def pretraining_size(windows: Sequence[int]) -> int:
    """The side in pixels of the images that a network with these windows, one per stage, was pre-trained on.

    ImageNet's windows are (w, w, 2w, w), those of the last two stages their whole maps of 32 w pixels: 224, 384 or 512.
    All others are of dense models, which are pre-trained at 224.
    """
    first, *middle, last = windows
    is_imagenet = first == last and middle == [last, 2 * last]
    return GCViT.strides[-1] * last if is_imagenet else GCViT.input_size


@MODELS.register_module()
class GCViT(Backbone):
    """Global Context Vision Transformer.

    Args:
        window_size: side of a window in tokens, one for all stages or one per stage: 24 in the dense models,
            (7, 7, 14, 7) on ImageNet.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='Global Context Vision Transformers, https://arxiv.org/abs/2206.09959',
        code='https://github.com/NVlabs/GCVit',
        license='NVIDIA Source Code License (non-commercial)',
    )
    no_weight_decay = ('norm', 'relative_position_bias_table')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'xxtiny',
        window_size: int | Sequence[int] = 24,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        stages = len(self.arch.depths)
        self.window_sizes = (window_size,) * stages if isinstance(window_size, int) else tuple(window_size)
        if len(self.window_sizes) != stages:
            raise ValueError(f'window_size must be one number or {stages}, one per stage; got {window_size}.')
        self.assemble(
            patch_embed=Stem(self.in_channels, self.arch.width),
            stages=self._stages(drop_path_rate),
            out_norms=[nn.LayerNorm(width) for width in self.arch.widths],
        )

    def _stages(self, drop_path_rate: float) -> list[Stage]:
        arch = self.arch
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, arch.depths)):
            width, window = arch.widths[i], self.window_sizes[i]
            blocks = [
                PreNormBlock(
                    width,
                    WindowAttention(width, arch.heads[i], window=window, is_global=j % 2 == 1),
                    Mlp(width, width * arch.mlp_ratio),
                    drop_path=rate,
                    layer_scale=arch.layer_scale,
                )
                for j, rate in enumerate(rates)
            ]
            covers_map = window * self.strides[i] == pretraining_size(self.window_sizes)
            query = GlobalQuery(width, window, convs=max(3 - i, 1), halve=i < 2 or (i == 2 and not covers_map))
            stages.append(GlobalStage(blocks, query, Downsample(arch.widths[i - 1], width) if i else None))
        return stages

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'GCViT') -> StateDict:
        """From `levels.i`, where downsampling closes the stage before; position tables get this network's windows."""
        renamed = rename(
            strip_classifier(state_dict, official=r'^levels\.', classifier=(r'^norm\.', r'^head\.', r'_index$')),
            (r'^levels\.(\d+)\.downsample\.', lambda match: f'stages.{int(match[1]) + 1}.downsample.'),
            (r'^levels\.(\d+)\.q_global_gen\.to_q_global\.(\d)\.conv\.', r'stages.\1.query.convs.\2.'),
            (r'^levels\.(\d+)\.', r'stages.\1.'),
            (r'^patch_embed\.conv_down\.', 'patch_embed.downsample.'),
            (r'\.fc\.0\.', '.fc1.'),
            (r'\.fc\.2\.', '.fc2.'),
            (r'^norm(\d)\.', r'out_norms.\1.'),
        )
        return {
            key: resize_position_table(value, (2 * network.window_sizes[int(key.split('.')[1])] - 1) ** 2)
            if key.endswith('relative_position_bias_table')
            else value
            for key, value in renamed.items()
        }


GCViT.archs = {
    'xxtiny': Arch(width=64, depths=(2, 2, 6, 2), heads=(2, 4, 8, 16), mlp_ratio=3),
    'xtiny': Arch(width=64, depths=(3, 4, 6, 5), heads=(2, 4, 8, 16), mlp_ratio=3),
    'tiny': Arch(width=64, depths=(3, 4, 19, 5), heads=(2, 4, 8, 16), mlp_ratio=3),
    'tiny2': Arch(width=64, depths=(3, 4, 29, 5), heads=(2, 4, 8, 16), mlp_ratio=3),
    'small': Arch(width=96, depths=(3, 4, 19, 5), heads=(3, 6, 12, 24), mlp_ratio=2, layer_scale=1e-5),
    'small2': Arch(width=96, depths=(3, 4, 23, 5), heads=(3, 6, 12, 24), mlp_ratio=3, layer_scale=1e-5),
    'base': Arch(width=128, depths=(3, 4, 19, 5), heads=(4, 8, 16, 32), mlp_ratio=2, layer_scale=1e-5),
    'large': Arch(width=192, depths=(3, 4, 19, 5), heads=(6, 12, 24, 48), mlp_ratio=2, layer_scale=1e-5),
}
