"""EfficientViT, Microsoft's of 2023 (M0 .. M5, cascaded group attention; MIT's network of this name is another one).

Paper: "EfficientViT: Memory Efficient Vision Transformer with Cascaded Group Attention",
https://arxiv.org/abs/2305.07027.
Official code: https://github.com/microsoft/Cream, EfficientViT (MIT).

One attention stands between two feed-forward layers. Each head sees its own share of the channels, plus what the head
before it gave; a depth-wise convolution on the queries and a learned bias per head and distance tell positions apart.
Attention is inside windows of 7 x 7, to which a map is zero-padded; the padding is attended to. The authors' code stops
at maps smaller than one window; here they are padded like others.

M0 has the kernels of its published checkpoint, 5 x 5, not the ones that the authors' dense code names. The published
detectors keep BatchNorm's statistics of ImageNet (`norm_eval`) and have no stochastic depth. ImageNet's last stage
attends in windows of 4 x 4: its tables are resized bicubically.

Legend: B batch, H W map, C channels, n windows, N tokens of a window, h heads, d channels of a head.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import resize_position_table, window_partition, window_reverse
from denseformer.backbones.base import BackboneOptions
from denseformer.backbones.light.sandwich import FeedForward, SandwichSkeleton, rename_skeleton
from denseformer.checkpoints.keys import StateDict, drop
from denseformer.layers import ConvNorm, DistanceBias, DropPath, pad_to_multiple
from denseformer.network import Source
from denseformer.registry import MODELS

QUERY_WIDTH = 16
WINDOW = 7


class CascadedGroupAttention(nn.Module):
    """Heads that take a share of the channels and the output of the head before: (n, C, 7, 7) -> the same.

    kernels: side of the convolution on the queries of each head.
    """

    def __init__(self, dim: int, heads: int, kernels: tuple[int, ...]):
        super().__init__()
        share = dim // heads
        self.widths = [QUERY_WIDTH, QUERY_WIDTH, share]
        self.qkv = nn.ModuleList(ConvNorm(share, sum(self.widths)) for _ in range(heads))
        self.query_conv = nn.ModuleList(
            ConvNorm(QUERY_WIDTH, QUERY_WIDTH, kernel, groups=QUERY_WIDTH) for kernel in kernels[:heads]
        )
        self.bias = DistanceBias((WINDOW, WINDOW), heads)
        self.proj = ConvNorm(dim, dim, zero_init=True)

    def forward(self, windows: Tensor) -> Tensor:
        biases = self.bias(windows.dtype)  # (h, N, N)
        shares = windows.chunk(len(self.qkv), 1)  # h times (n, d, 7, 7)
        out = torch.zeros_like(shares[0])
        outs = []
        for share, qkv, query_conv, bias in zip(shares, self.qkv, self.query_conv, biases, strict=True):
            q, k, v = qkv(share + out).split(self.widths, 1)
            out = self.attend(query_conv(q), k, v, bias)
            outs.append(out)
        return self.proj(F.relu(torch.cat(outs, 1)))

    @staticmethod
    def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """Attention of one head: q, k (n, 16, 7, 7), v (n, d, 7, 7), bias (N, N) -> like v."""
        q, k, v = (x.permute(0, 2, 3, 1).flatten(1, 2).unsqueeze(1) for x in (q, k, v))  # (n, 1, N, ..)
        out = window_softmax_attention(q, k, v, bias[None, None].to(q.dtype))  # (n, N, d)
        return out.unflatten(1, (WINDOW, WINDOW)).permute(0, 3, 1, 2)


class WindowedAttention(nn.Module):
    """Cascaded group attention in the windows of a map: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, dim: int, heads: int, kernels: tuple[int, ...]):
        super().__init__()
        self.windowed = CascadedGroupAttention(dim, heads, kernels)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        x = pad_to_multiple(x.permute(0, 2, 3, 1), WINDOW)
        B, padded = x.shape[0], x.shape[1:3]
        windows = window_partition(x, (WINDOW, WINDOW)).flatten(0, 1).unflatten(1, (WINDOW, WINDOW))  # (n, 7, 7, C)
        windows = self.windowed(windows.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = window_reverse(windows.reshape(B, -1, WINDOW**2, windows.shape[-1]), (WINDOW, WINDOW), padded)
        return x[:, :H, :W].permute(0, 3, 1, 2)


class Block(nn.Module):
    """Attention between feed-forward layers, all residual: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, heads: int, kernels: tuple[int, ...], drop_path: float):
        super().__init__()
        self.before = FeedForward(dim, drop_path, zero_init=True)
        self.attn = WindowedAttention(dim, heads, kernels)
        self.after = FeedForward(dim, drop_path, zero_init=True)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        return self.after(x + self.drop_path(self.attn(x)))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """kernels: side of the convolution on the queries of the first, second ... head."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    kernels: tuple[int, ...] = (7, 5, 3, 3)


@MODELS.register_module()
class EfficientViT(SandwichSkeleton):
    """EfficientViT."""

    source = Source(
        paper='EfficientViT: Memory Efficient Vision Transformer with Cascaded Group Attention, '
        'https://arxiv.org/abs/2305.07027',
        code='https://github.com/microsoft/Cream',
        license='MIT',
    )
    no_weight_decay = ('bias.table',)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'm0',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.build(drop_path_rate)

    def make_block(self, stage: int, drop_path: float) -> nn.Module:
        return Block(self.arch.widths[stage], self.arch.heads[stage], self.arch.kernels, drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'EfficientViT') -> StateDict:
        """Besides the names, tables of other windows are resized to 7 x 7."""
        part = {'dw0': 'before.conv', 'ffn0': 'before.mlp', 'dw1': 'after.conv', 'ffn1': 'after.mlp'}
        renamed = rename_skeleton(
            drop(state_dict, r'\.attention_bias_idxs$'),
            (r'\.(dw|ffn)([01])\.m\.', lambda match: f'.{part[match[1] + match[2]]}.'),
            (r'\.mixer\.m\.attn\.attention_biases$', '.attn.windowed.bias.table'),
            (r'\.mixer\.m\.attn\.qkvs\.', '.attn.windowed.qkv.'),
            (r'\.mixer\.m\.attn\.dws\.', '.attn.windowed.query_conv.'),
            (r'\.mixer\.m\.attn\.proj\.1\.', '.attn.windowed.proj.'),
        )
        tables = {key: value for key, value in renamed.items() if key.endswith('.bias.table')}
        return renamed | {key: resize_position_table(table.T, WINDOW**2).T for key, table in tables.items()}


EfficientViT.archs = {
    'm0': Arch(widths=(64, 128, 192), depths=(1, 2, 3), heads=(4, 4, 4), kernels=(5, 5, 5, 5)),
    'm1': Arch(widths=(128, 144, 192), depths=(1, 2, 3), heads=(2, 3, 3)),
    'm2': Arch(widths=(128, 192, 224), depths=(1, 2, 3), heads=(4, 3, 2)),
    'm3': Arch(widths=(128, 240, 320), depths=(1, 2, 3), heads=(4, 3, 4), kernels=(5, 5, 5, 5)),
    'm4': Arch(widths=(128, 256, 384), depths=(1, 2, 3), heads=(4, 4, 4)),
    'm5': Arch(widths=(192, 288, 384), depths=(1, 3, 4), heads=(3, 3, 4)),
}
