"""RGT: local attention in rectangles, and attention of all pixels to a few recursively generalised tokens.

Paper: "Recursive Generalization Transformer for Image Super-Resolution", https://arxiv.org/abs/2303.06373.
Official code: https://github.com/zhengchen1999/RGT (Apache-2.0).

Blocks alternate between two attentions. The local one gives half of the channels windows of 8 x 32 and the other half
windows of 32 x 8, with position biases from a small network; queries, keys and values, not the map, are zero-padded to
multiples of 32 and the padding is attended to. The other reduces the map by one and the same strided convolution again
and again, until a few tokens are left, to which every pixel attends. Each block's input is added to its output once
more, scaled per channel.

How often the map is reduced depends on the longer side, and in prediction is at least 2. The authors' code fails where
the shorter side cannot be divided as often (60 x 1024, or any side below 16); here that side's last row or column is
repeated up to the size of the convolution.

Legend: B batch, H W map, C channels, n windows, N tokens of a window, M generalised tokens, h heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.shifted import gather_windows, plan_windows, planned_attention, scatter_windows
from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import Size
from denseformer.checkpoints.keys import StateDict, count, drop, linear_from_pointwise, rename
from denseformer.layers import (
    CachedBias,
    DepthwiseConv,
    DropPath,
    DynamicPositionBias,
    Linear,
    drop_path_rates,
    pad_to_multiple,
)
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationOptions
from denseformer.restoration.networks.layers import residual_conv
from denseformer.restoration.networks.trunk import TRUNK_RULES, ResidualGroup, SwinIRBase

STRIDE = 4


class CachedDynamicPositionBias(CachedBias):
    """A bias per head and offset inside a window, made by a small network."""

    def __init__(self, window: Size, hidden: int, heads: int):
        super().__init__()
        self.window = window
        self.network = DynamicPositionBias(hidden, heads)

    def build(self) -> Tensor:
        return self.network(self.window)


class RectangleAttention(nn.Module):
    """Self-attention in wide windows for half of the channels, in tall ones for the others: (B, H, W, C) -> the same.

    A depth-wise convolution of the values is added.
    """

    def __init__(self, dim: int, heads: int, *, rectangle: Size, shifted: bool):
        super().__init__()
        self.heads = heads
        self.windows = (rectangle, rectangle[::-1])
        self.shifted = shifted
        self.qkv = Linear(dim, 3 * dim)
        self.biases = nn.ModuleList(CachedDynamicPositionBias(window, dim // 32, heads // 2) for window in self.windows)
        self.local = DepthwiseConv(dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        _, H, W, C = x.shape
        qkv = self.qkv(x)
        padded = pad_to_multiple(qkv, max(self.windows[0])).unflatten(3, (3, 2, C // 2))
        halves = [self.attend(padded[..., i, :], i)[:, :H, :W] for i in (0, 1)]  # each (B, H, W, C/2)
        return self.proj(torch.cat(halves, -1) + self.local(qkv[..., 2 * C :]))

    def attend(self, qkv: Tensor, half: int) -> Tensor:
        """(B, H, W, 3, C/2) -> (B, H, W, C/2)."""
        B, H, W = qkv.shape[:3]
        wh, ww = window = self.windows[half]
        shift = (wh // 2, ww // 2) if self.shifted else (0, 0)
        plan = plan_windows(B, (H, W), window, shift, qkv.device)
        tokens = gather_windows(qkv, plan, wh * ww)  # (n, N, 3C/2)
        out = planned_attention(tokens, self.heads // 2, self.biases[half](qkv.dtype), plan)
        return scatter_windows(out, plan, B, (H, W))


class GeneralizedAttention(nn.Module):
    """Cross-attention of all pixels to the map reduced recursively by 4: (B, H, W, C) -> the same.

    compressed: channels of the queries and keys.
    """

    def __init__(self, dim: int, heads: int, compressed: int):
        super().__init__()
        self.heads = heads
        self.reduce = nn.Conv2d(dim, dim, STRIDE, STRIDE, groups=dim)
        self.dwconv = DepthwiseConv(dim)
        self.compress = Linear(dim, compressed)
        self.norm = nn.LayerNorm(compressed)
        self.q = Linear(dim, compressed)
        self.k = Linear(compressed, compressed)
        self.v = Linear(compressed, dim)
        self.cpe = DepthwiseConv(dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, _ = x.shape
        tokens = self.generalize(x)
        v = self.v(tokens)
        q, k, v = self.q(x), self.k(tokens), v + self.cpe(v)
        q, k, v = (t.flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))  # (B, h, N, d)
        out = window_softmax_attention(q, k, v)  # (B, N, C)
        return self.proj(out.view(B, H, W, -1))

    def generalize(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H', W', compressed): the M = H' * W' tokens that keys and values are made of."""
        _, H, W, _ = x.shape
        tokens = x.permute(0, 3, 1, 2)  # (B, C, H, W)
        for _ in range(reductions(max(H, W), self.training)):
            bottom, right = (max(STRIDE - side, 0) for side in tokens.shape[2:])
            if bottom or right:
                tokens = F.pad(tokens, (0, right, 0, bottom), mode='replicate')
            tokens = self.reduce(tokens)
        tokens = self.compress(self.dwconv(tokens.permute(0, 2, 3, 1)))  # (B, H', W', compressed)
        return F.gelu(self.norm(tokens))


def reductions(side: int, training: bool) -> int:
    """Divisions by 4: to a longer side of 4 .. 15 in training, of 16 .. 63, but at least two, in prediction."""
    times = 0
    while side >= (16 if training else 64):
        side //= STRIDE
        times += 1
    return times if training else max(times, 2)


class GatedMlp(nn.Module):
    """An MLP half of whose hidden map, normalised and convolved, gates the other half: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.act = nn.GELU()
        self.norm = nn.LayerNorm(hidden // 2)
        self.dwconv = DepthwiseConv(hidden // 2)
        self.fc2 = Linear(hidden // 2, dim)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.act(self.fc1(x)).chunk(2, -1)
        return self.fc2(x * self.dwconv(self.norm(gate)))


class Block(nn.Module):
    """Attention and an MLP, each pre-normalised and residual, and the block's input added: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, attn: nn.Module, *, mlp_ratio: float, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attn
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = GatedMlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)
        self.gamma = nn.Parameter(torch.full((dim,), 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        out = x + self.drop_path(self.attn(self.norm1(x)))
        out = out + self.drop_path(self.mlp(self.norm2(out)))
        return out + x * self.gamma.to(x.dtype)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """groups, blocks: residual groups, and blocks of each.

    rectangle: sides of the wide windows; compressed: channels of the queries and keys of generalised attention.
    """

    groups: int
    dim: int = 180
    blocks: int = 6
    heads: int = 6
    mlp_ratio: float = 2
    rectangle: tuple[int, int] = (8, 32)
    compressed: int = 90


@MODELS.register_module()
class RGT(SwinIRBase):
    """Recursive Generalization Transformer.

    Args:
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 at the first.
        The others are described in `RestorationNetwork`.
    """

    source = Source(
        paper='Recursive Generalization Transformer for Image Super-Resolution, https://arxiv.org/abs/2303.06373',
        code='https://github.com/zhengchen1999/RGT',
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
        rates = drop_path_rates(drop_path_rate, [self.arch.blocks] * self.arch.groups)
        self.assemble(dim=self.arch.dim, groups=[self._group(i, group) for i, group in enumerate(rates)])

    def _group(self, group: int, rates: list[float]) -> ResidualGroup:
        blocks = [
            Block(self.arch.dim, self._attention(group, i), mlp_ratio=self.arch.mlp_ratio, drop_path=rate)
            for i, rate in enumerate(rates)
        ]
        return ResidualGroup(blocks, residual_conv(self.arch.dim, '1conv'))

    def _attention(self, group: int, block: int) -> nn.Module:
        """Local attention in even blocks; every second of them shifted, from the first on in odd groups."""
        arch = self.arch
        if block % 2:
            return GeneralizedAttention(arch.dim, arch.heads, arch.compressed)
        shifted = block % 4 == (0 if group % 2 else 2)
        return RectangleAttention(arch.dim, arch.heads, rectangle=tuple(arch.rectangle), shifted=shifted)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """The 1 x 1 convolution becomes a linear layer; position indices and shift masks are dropped."""
        renamed = rename(
            drop(state_dict, r'\.relative_position_index$', r'\.rpe_biases$', r'\.attn_mask_\d$'),
            (r'^before_RG\.1\.', 'embed_norm.'),
            *TRUNK_RULES,
            (r'\.attn\.get_v\.', '.attn.local.'),
            (r'\.attn\.attns\.(\d)\.pos\.pos_proj\.', r'.attn.biases.\1.network.0.'),
            (
                r'\.attn\.attns\.(\d)\.pos\.pos(\d)\.(\d)\.',
                lambda match: f'.attn.biases.{match[1]}.network.{3 * int(match[2]) - 2 + int(match[3])}.',
            ),
            (r'\.attn\.reduction1\.', '.attn.reduce.'),
            (r'\.attn\.conv\.', '.attn.compress.'),
            (r'\.attn\.norm_act\.0\.', '.attn.norm.'),
            (r'\.mlp\.sg\.norm\.', '.mlp.norm.'),
            (r'\.mlp\.sg\.conv\.', '.mlp.dwconv.'),
        )
        return linear_from_pointwise(renamed)

    @classmethod
    def infer_arch(cls, weights: StateDict, trunk: dict[str, Any]) -> dict[str, Any] | None:
        """The windows' sides leave no trace in the weights: they are taken to be 8 x 32."""
        first = 'groups.0.blocks.0.'
        if f'{first}attn.biases.0.network.0.weight' not in weights:
            return None
        return {
            'groups': trunk['groups'],
            'dim': trunk['dim'],
            'blocks': count(weights, r'groups\.0\.blocks\.(\d+)\.'),
            'heads': 2 * weights[f'{first}attn.biases.0.network.9.weight'].shape[0],
            'mlp_ratio': weights[f'{first}mlp.fc1.weight'].shape[0] / trunk['dim'],
            'compressed': weights['groups.0.blocks.1.attn.q.weight'].shape[0],
        }


RGT.archs = {'small': Arch(groups=6), 'base': Arch(groups=8)}
