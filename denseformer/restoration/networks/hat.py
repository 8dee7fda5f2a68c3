"""HAT: windowed self-attention, channel attention and overlapping windows together.

Papers: "Activating More Pixels in Image Super-Resolution Transformer", https://arxiv.org/abs/2205.04437, and "HAT:
Hybrid Attention Transformer for Image Restoration", https://arxiv.org/abs/2309.05239.
Official code: https://github.com/XPixelGroup/HAT (Apache-2.0).

SwinIR with windows of 16, a convolutional branch with channel attention beside each windowed attention (the two share
one norm), and a cross-attention at the end of each group whose keys come from windows of 24. The image is reflected up
to a multiple of 16, which the authors' code does outside the network. Channel attention averages over the whole map, so
an image restored in tiles differs slightly from the same restored at once.

Legend: B batch, H W map, C channels, n windows, N queries and M keys of a window, h heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.overlapping import overlap_position_index, overlapping_windows
from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import window_partition, window_reverse
from denseformer.checkpoints.keys import StateDict, count, drop, linear_from_pointwise, rename
from denseformer.layers import (
    CachedBias,
    Linear,
    Mlp,
    PreNormBlock,
    ShiftedWindowAttention,
    SqueezeExcite,
    drop_path_rates,
)
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationOptions
from denseformer.restoration.networks.layers import conv3x3, convolve, residual_conv
from denseformer.restoration.networks.trunk import TRUNK_RULES, ResidualGroup, SwinIRBase, infer_window


class ChannelAttentionBlock(nn.Module):
    """A bottleneck of 3 x 3 convolutions whose channels are then weighted: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, compress: int, squeeze: int):
        super().__init__()
        self.conv1 = conv3x3(dim, dim // compress)
        self.conv2 = conv3x3(dim // compress, dim)
        self.attention = SqueezeExcite(dim, dim // squeeze, act=nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(self.conv2(F.gelu(self.conv1(x))))


class HybridBlock(PreNormBlock):
    """Windowed attention and, on the same normalised map, convolutions; then an MLP: (B, H, W, C) -> the same."""

    def __init__(self, arch: 'Arch', *, shift: int, drop_path: float):
        attn = ShiftedWindowAttention(arch.dim, arch.heads, window=arch.window, shift=shift)
        super().__init__(arch.dim, attn, Mlp(arch.dim, int(arch.dim * arch.mlp_ratio)), drop_path=drop_path)
        self.conv_scale = arch.conv_scale
        self.conv_block = ChannelAttentionBlock(arch.dim, arch.compress, arch.squeeze)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.drop_path(self.attn(normed))
        x = x + convolve(self.conv_block, normed) * self.conv_scale
        return x + self.drop_path(self.mlp(self.norm2(x)))


class OverlapPositionBias(CachedBias):
    """A learned bias per head and offset between a query of a window and a key of the larger one around it."""

    def __init__(self, window: int, overlap: int, heads: int):
        super().__init__()
        self.window, self.overlap = window, overlap
        self.table = nn.Parameter(torch.empty((2 * window + overlap - 1) ** 2, heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def build(self) -> Tensor:
        index = overlap_position_index(self.window, self.overlap).to(self.table.device)
        return self.table[index.flatten()].view(*index.shape, -1).permute(2, 0, 1).contiguous()  # (h, N, M)


class OverlappingBlock(nn.Module):
    """Cross-attention from windows to larger ones around them, then an MLP: (B, H, W, C) -> the same.

    Keys beyond the border are zero, and take part in the softmax.
    """

    def __init__(self, dim: int, heads: int, *, window: int, overlap: int, mlp_ratio: float):
        super().__init__()
        self.heads, self.window, self.overlap = heads, window, overlap
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = Linear(dim, 3 * dim)
        self.bias = OverlapPositionBias(window, overlap, heads)
        self.proj = Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.proj(self.attend(self.qkv(self.norm1(x))))
        return x + self.mlp(self.norm2(x))

    def attend(self, qkv: Tensor) -> Tensor:
        """(B, H, W, 3C) -> (B, H, W, C)."""
        B, H, W, channels = qkv.shape
        queries, keys = qkv.split((channels // 3, channels * 2 // 3), -1)
        window = (self.window, self.window)
        q = window_partition(queries, window).flatten(0, 1)  # (B*n, N, C)
        q = q.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B*n, h, N, d)
        kv = overlapping_windows(keys, self.window, self.overlap)  # (B*n, M, 2C)
        k, v = kv.unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # each (B*n, h, M, d)
        out = window_softmax_attention(q, k, v, self.bias(q.dtype)[None])
        return window_reverse(out.unflatten(0, (B, -1)), window, (H, W))


class HybridGroup(ResidualGroup):
    """Hybrid blocks, an overlapping one, and a convolution, residual: (B, H, W, C) -> the same."""

    def __init__(self, blocks: list[nn.Module], overlapping: OverlappingBlock, conv: nn.Module):
        super().__init__(blocks, conv)
        self.overlapping = overlapping

    def mixers(self) -> list[nn.Module]:
        return [*self.blocks, self.overlapping]


@dataclass(frozen=True, kw_only=True)
class Arch:
    """groups, blocks: residual groups, and hybrid blocks of each.

    compress, squeeze: what the convolutional branch and its channel attention divide the width by; conv_scale: the
    branch's gain; overlap: how much longer the sides of the larger windows are.
    """

    dim: int
    groups: int
    blocks: int = 6
    heads: int = 6
    window: int = 16
    mlp_ratio: float = 2
    compress: int = 3
    squeeze: int = 30
    conv_scale: float = 0.01
    overlap: int = 8


@MODELS.register_module()
class HAT(SwinIRBase):
    """Hybrid Attention Transformer.

    Args:
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 at the first.
        The others are described in `RestorationNetwork`.
    """

    source = Source(
        paper='Activating More Pixels in Image Super-Resolution Transformer, https://arxiv.org/abs/2205.04437',
        code='https://github.com/XPixelGroup/HAT',
        license='Apache-2.0',
    )
    tile_overlap = 32

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        drop_path_rate: float = 0.1,
        **common: Unpack[RestorationOptions],
    ):
        super().__init__(arch=arch, **common)
        self.size_multiple = self.arch.window
        rates = drop_path_rates(drop_path_rate, [self.arch.blocks] * self.arch.groups)
        self.assemble(dim=self.arch.dim, groups=[self._group(group) for group in rates])

    def _group(self, rates: list[float]) -> HybridGroup:
        arch = self.arch
        blocks = [HybridBlock(arch, shift=arch.window // 2 * (i % 2), drop_path=rate) for i, rate in enumerate(rates)]
        overlapping = OverlappingBlock(
            arch.dim, arch.heads, window=arch.window, overlap=arch.overlap, mlp_ratio=arch.mlp_ratio
        )
        return HybridGroup(blocks, overlapping, residual_conv(arch.dim, '1conv'))

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """1 x 1 convolutions become linear layers; position indices are dropped."""
        renamed = rename(
            drop(state_dict, r'^relative_position_index_'),
            *TRUNK_RULES,
            (r'\.conv_block\.cab\.0\.', '.conv_block.conv1.'),
            (r'\.conv_block\.cab\.2\.', '.conv_block.conv2.'),
            (r'\.conv_block\.cab\.3\.attention\.1\.', '.conv_block.attention.fc1.'),
            (r'\.conv_block\.cab\.3\.attention\.3\.', '.conv_block.attention.fc2.'),
            (r'\.overlap_attn\.relative_position_bias_table$', '.overlapping.bias.table'),
            (r'\.overlap_attn\.', '.overlapping.'),
        )
        return linear_from_pointwise(renamed)

    @classmethod
    def infer_arch(cls, weights: StateDict, trunk: dict[str, Any]) -> dict[str, Any] | None:
        """The gain of the convolutional branch leaves no trace in the weights: it is taken to be 0.01."""
        first = 'groups.0.blocks.0.'
        if f'{first}conv_block.conv1.weight' not in weights:
            return None
        window, heads = infer_window(weights[f'{first}attn.bias.table'])
        overlap_rows = weights['groups.0.overlapping.bias.table'].shape[0]
        return {
            'dim': trunk['dim'],
            'groups': trunk['groups'],
            'blocks': count(weights, r'groups\.0\.blocks\.(\d+)\.'),
            'heads': heads,
            'window': window,
            'mlp_ratio': weights[f'{first}mlp.fc1.weight'].shape[0] / trunk['dim'],
            'compress': trunk['dim'] // weights[f'{first}conv_block.conv1.weight'].shape[0],
            'squeeze': trunk['dim'] // weights[f'{first}conv_block.attention.fc1.weight'].shape[0],
            'overlap': round(overlap_rows**0.5) + 1 - 2 * window,
        }


HAT.archs = {
    'small': Arch(dim=144, groups=6, compress=24, squeeze=24),
    'base': Arch(dim=180, groups=6),
    'large': Arch(dim=180, groups=12),
}
