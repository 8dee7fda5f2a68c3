"""Hiera: a vision transformer in four stages, of plain attention and maximum pooling alone.

Paper: "Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles", https://arxiv.org/abs/2306.00989.
Official code: https://github.com/facebookresearch/hiera (Apache-2.0; weights CC BY-NC 4.0).

Attention stays inside units of 8 x 8 tokens, then 4 x 4, in the first two stages, and is global in the others. The
first block of a stage doubles the width and takes the maximum of the queries, and of the shortcut, over 2 x 2 tokens;
its attention is still of the kind, and of the units, of the stage before.

`HieraBase` is what SAM 2's encoder shares with it.

Legend: B batch, H W map, C channels in, D out, h heads, d head width, n windows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import window_partition, window_reverse
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.backbones.plain.embedding import PositionTable, Size, square
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.layers import DropPath, Linear, Mlp, drop_path_rates, pad_to_multiple
from denseformer.layers.initializers import INIT_STD
from denseformer.network import Source
from denseformer.registry import MODELS

EPS = 1e-6
BIAS = 0.02
"""Where the biases of linear layers and norms start."""


def max_pool(x: Tensor) -> Tensor:
    """The maximum over 2 x 2 tokens: (n, H, W, C) -> (n, H // 2, W // 2, C)."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def narrow_with_bias(module: nn.Module) -> None:
    """Initialize linear layers and convolutions narrow; biases are PyTorch's in convolutions, `BIAS` elsewhere."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.normal_(module.weight, std=INIT_STD)
    if isinstance(module, (nn.Linear, nn.LayerNorm)):
        nn.init.constant_(module.bias, BIAS)


class PooledAttention(nn.Module):
    """Attention in windows, or global without one: (B, H, W, C) -> (B, H, W, D), or (B, H // 2, W // 2, D) with `pool`.

    Maps are zero-padded to whole windows, and the padding is attended to. With `pool`, queries are the maxima of 2 x 2.
    """

    def __init__(self, dim: int, out_dim: int, heads: int, *, window: int | None, pool: bool):
        super().__init__()
        self.heads = heads
        self.window = window
        self.pool = pool
        self.qkv = Linear(dim, 3 * out_dim)
        self.proj = Linear(out_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        if self.window is None:
            return self.proj(self.attend(self.qkv(x)))
        B, H, W, _ = x.shape
        x, side = pad_to_multiple(x, self.window), self.window
        size = x.shape[1], x.shape[2]
        qkv = self.qkv(window_partition(x, (side, side))).flatten(0, 1)  # (n, w * w, 3D), which is larger than x
        out = self.attend(qkv.unflatten(1, (side, side))).flatten(1, 2)
        if self.pool:
            side, size, H, W = side // 2, (size[0] // 2, size[1] // 2), H // 2, W // 2
        out = window_reverse(out.unflatten(0, (B, -1)), (side, side), size)
        return self.proj(out[:, :H, :W])

    def attend(self, qkv: Tensor) -> Tensor:
        """(n, H, W, 3D) -> (n, H, W, D), or of half the sides."""
        q, k, v = qkv.chunk(3, -1)
        q = max_pool(q) if self.pool else q
        size = q.shape[1], q.shape[2]
        q, k, v = (x.flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))  # (n, h, N, d)
        return window_softmax_attention(q, k, v).unflatten(1, size)


class Block(nn.Module):
    """Attention and MLP, each pre-normalised and residual: (B, H, W, C) -> (B, H, W, D).

    Where the width changes, sides are halved, and the shortcut is the pooled projection of the normalised map.
    """

    def __init__(self, dim: int, out_dim: int, heads: int, *, window: int | None, drop_path: float):
        super().__init__()
        grows = dim != out_dim
        self.norm1 = nn.LayerNorm(dim, EPS)
        self.attn = PooledAttention(dim, out_dim, heads, window=window, pool=grows)
        self.norm2 = nn.LayerNorm(out_dim, EPS)
        self.mlp = Mlp(out_dim, 4 * out_dim)
        self.drop_path = DropPath(drop_path)
        self.proj = Linear(dim, out_dim) if grows else None

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        shortcut = x if self.proj is None else max_pool(self.proj(normed))
        x = shortcut + self.drop_path(self.attn(normed))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PositionedPatches(nn.Module):
    """Overlapping patches of 7 x 7 pixels at stride 4, with positions: (B, in_channels, H, W) -> (B, H/4, W/4, C).

    positions: a module that makes (1, H/4 * W/4, C) of the map's size.
    """

    def __init__(self, in_channels: int, dim: int, positions: nn.Module):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, 7, 4, 3)
        self.positions = positions

    def forward(self, image: Tensor) -> Tensor:
        x = self.proj(image).permute(0, 2, 3, 1)  # (B, H/4, W/4, C)
        size = x.shape[1], x.shape[2]
        return x + self.positions(size).unflatten(1, size)


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """heads: of the first stage, doubled at each further one; windows: sides of each stage's, None for global."""

    heads: int
    windows: tuple[int | None, ...] = (8, 4, None, None)

    def block_windows(self) -> list[list[int | None]]:
        """Window of each block of each stage: the first one's is that of the stage before."""
        return [
            [self.windows[max(i - 1, 0) if j == 0 else i] for j in range(depth)] for i, depth in enumerate(self.depths)
        ]


class HieraBase(Backbone):
    """The stages; returns their maps without a norm."""

    no_weight_decay = ('norm', 'positions', 'bias')

    def build(self, positions: nn.Module, windows: Sequence[Sequence[int | None]], drop_path_rate: float) -> None:
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            dims = [widths[max(i - 1, 0)], *[widths[i]] * len(rates)]
            stages.append(
                Stage(
                    Block(dims[j], widths[i], self.arch.heads * 2**i, window=windows[i][j], drop_path=rate)
                    for j, rate in enumerate(rates)
                )
            )
        self.assemble(patch_embed=PositionedPatches(self.in_channels, widths[0], positions), stages=stages)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any) -> StateDict:
        """From blocks that are numbered through, to stages."""
        starts = [0, *accumulate(network.arch.depths)]

        def place(match: Any) -> str:
            number = int(match[1])
            stage = max(i for i, start in enumerate(starts[:-1]) if number >= start)
            return f'stages.{stage}.blocks.{number - starts[stage]}.'

        return rename(state_dict, (r'^blocks\.(\d+)\.', place))


@MODELS.register_module()
class Hiera(HieraBase):
    """Hiera.

    Args:
        image_size: the side, or height and width, that the position table is made for; the published ones are for 224.
        The others are described in `Backbone`.

    The authors take images of the table's size alone. For others the table is resized bicubically, and sides that are
    no multiple of 32 give smaller maps, rounded down, and units that reach over the border.
    """

    source = Source(
        paper='Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles, '
        'https://arxiv.org/abs/2306.00989',
        code='https://github.com/facebookresearch/hiera',
        license='Apache-2.0 (code), CC-BY-NC-4.0 (weights)',
    )
    initial_weights = staticmethod(narrow_with_bias)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        image_size: int | Size = 224,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        height, width = square(image_size)
        positions = PositionTable(self.arch.width, (height // 4, width // 4), rows=0)
        self.build(positions, self.arch.block_windows(), drop_path_rate)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'Hiera') -> StateDict:
        """From the authors' classifier or masked autoencoder; the position table at `network`'s size."""
        table = 'patch_embed.positions.table'
        ours = table in state_dict
        state_dict = HieraBase.remap_official_keys(
            rename(
                drop(
                    state_dict,
                    r'^(head|norm|encoder_norm|multi_scale_fusion_heads)\.',
                    r'^decoder_',
                    r'^mask_token$',
                ),
                (r'^pos_embed$', 'patch_embed.positions.table'),
            ),
            network,
        )
        if table in state_dict:
            state_dict[table] = network.patch_embed.positions.fit(state_dict[table], ours=ours)
        return state_dict


Hiera.archs = {
    'tiny': Arch(width=96, depths=(1, 2, 7, 2), heads=1),
    'small': Arch(width=96, depths=(1, 2, 11, 2), heads=1),
    'base': Arch(width=96, depths=(2, 3, 16, 3), heads=1),
    'base_plus': Arch(width=112, depths=(2, 3, 16, 3), heads=2),
    'large': Arch(width=144, depths=(2, 6, 36, 4), heads=2),
    'huge': Arch(width=256, depths=(2, 6, 36, 4), heads=4),
}
