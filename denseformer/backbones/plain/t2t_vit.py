"""T2T-ViT: patches that overlap and attend to one another while they become tokens, then a narrow, deep transformer.

Paper: "Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet", https://arxiv.org/abs/2101.11986.
Official code: https://github.com/yitu-opensource/T2T-ViT (Clear BSD), for classification only.

Patches of 7 x 7 pixels, 4 apart, become tokens of 64 channels by an attention whose residual branch carries its values;
twice more, 3 x 3 tokens are split into one, so that tokens lie 16 pixels apart. That attention is Performer's, linear
by random features that are drawn once and stay, or in the variants `t_` softmax. Logits of the transformer are scaled
by the width of all heads, as the released weights need, not by that of one. Positions are sines that are not learned.

Legend: B batch, H W map of tokens, C channels, N tokens, m random features.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Size
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.layers import (
    Linear,
    Mlp,
    PreNormBlock,
    SelfAttention,
    drop_path_rates,
    pad_image_to_multiple,
    resize_positions,
)
from denseformer.layers.initializers import INIT_STD
from denseformer.network import Source
from denseformer.precision import at_least_float32
from denseformer.registry import MODELS

STRIDE = 16
TOKEN_WIDTH = 64
SPLITS = ((7, 4, 2), (3, 2, 1), (3, 2, 1))
"""Kernel, stride and padding of each split, in pixels or tokens."""
FEATURES = TOKEN_WIDTH // 2
DROPOUT = 0.1
SQUEEZE = 16
"""Channels for each that gates are made from."""


class PerformerAttention(nn.Module):
    """Linear attention by random features, added to its values: (B, N, C) -> (B, N, 64)."""

    def __init__(self, dim: int):
        super().__init__()
        self.kqv = Linear(dim, 3 * TOKEN_WIDTH)
        self.proj = Linear(TOKEN_WIDTH, TOKEN_WIDTH)
        self.dropout = nn.Dropout(DROPOUT)
        features = nn.init.orthogonal_(torch.empty(FEATURES, TOKEN_WIDTH), gain=FEATURES**0.5)
        self.register_buffer('w', features)

    def features(self, x: Tensor) -> Tensor:
        """exp(w x - |x| ** 2 / 2) / sqrt(m), of single precision at least: (B, N, 64) -> (B, N, m)."""
        x = at_least_float32(x)
        return (x @ self.w.to(x.dtype).T - x.square().sum(-1, keepdim=True) / 2).exp() / FEATURES**0.5

    def forward(self, x: Tensor) -> Tensor:
        k, q, v = self.kqv(x).chunk(3, -1)
        with torch.autocast(x.device.type, enabled=False):
            k, q = self.features(k), self.features(q)
            out = q @ (k.transpose(1, 2) @ v.to(k.dtype))
            out = out / (q @ k.sum(1)[:, :, None] + 1e-8)
        return v + self.dropout(self.proj(out.to(v.dtype)))


class ValueAttention(nn.Module):
    """Softmax attention of one head, added to its values: (B, N, C) -> (B, N, 64)."""

    def __init__(self, dim: int):
        super().__init__()
        self.scale = dim**-0.5
        self.qkv = Linear(dim, 3 * TOKEN_WIDTH, bias=False)
        self.proj = Linear(TOKEN_WIDTH, TOKEN_WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x)[:, None].chunk(3, -1)  # each (B, 1, N, 64)
        return v[:, 0] + self.proj(window_softmax_attention(q, k, v, scale=self.scale))


class TokenAttention(nn.Module):
    """Attention that narrows tokens, and an MLP: (B, N, C) -> (B, N, 64)."""

    def __init__(self, dim: int, performer: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = PerformerAttention(dim) if performer else ValueAttention(dim)
        self.norm2 = nn.LayerNorm(TOKEN_WIDTH)
        self.mlp = Mlp(TOKEN_WIDTH, TOKEN_WIDTH)
        self.dropout = nn.Dropout(DROPOUT if performer else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attn(self.norm1(x))
        return x + self.dropout(self.mlp(self.norm2(x)))


class TokensToToken(nn.Module):
    """An image, zero-padded to multiples of 16, to split tokens: (B, C, height, width) -> (B, H * W, 576), (H, W)."""

    prefix = 1

    def __init__(self, in_channels: int, performer: bool):
        super().__init__()
        self.attention1 = TokenAttention(in_channels * SPLITS[0][0] ** 2, performer)
        self.attention2 = TokenAttention(TOKEN_WIDTH * SPLITS[1][0] ** 2, performer)

    def forward(self, image: Tensor) -> tuple[Tensor, Size]:
        x = pad_image_to_multiple(image, STRIDE)
        for (kernel, stride, padding), attention in zip(SPLITS, (self.attention1, self.attention2, None), strict=True):
            size = x.shape[2] // stride, x.shape[3] // stride
            tokens = F.unfold(x, kernel, padding=padding, stride=stride).transpose(1, 2)  # (B, N, C * kernel ** 2)
            if attention is not None:
                x = attention(tokens).transpose(1, 2).unflatten(2, size)  # (B, 64, H', W')
        return tokens, size


@cached_constant(32)
def sines(count: int, width: int, device: torch.device) -> Tensor:
    """(count, width): sines and cosines of a token's place in the sequence, one frequency a pair of channels."""
    frequency = 10000 ** (-2 * torch.arange(width // 2, device=device, dtype=torch.float64) / width)
    angle = torch.arange(count, device=device, dtype=torch.float64)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1).float()


class Projection(Linear):
    """Split tokens to the width of the transformer, which counts as its first block: (B, N, 576) -> (B, N, C)."""

    def forward(self, x: Tensor, size: Size) -> Tensor:
        return super().forward(x)


class SqueezedAttention(SelfAttention):
    """Self-attention, and a gate for each channel from its mean over all tokens: (B, N, C) -> the same."""

    def __init__(self, dim: int, heads: int, **options: Any):
        super().__init__(dim, heads, **options)
        squeezed = dim // SQUEEZE
        self.gates = nn.Sequential(
            Linear(dim, squeezed, bias=False), nn.ReLU(), Linear(squeezed, dim, bias=False), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x * self.gates(x.mean(1, keepdim=True))


class Block(PreNormBlock):
    """A block of the transformer; in the first one the class token and positions join.

    (B, 1 + N, C) -> the same; (B, N, C) -> (B, 1 + N, C) in the first one. grid: the map that positions are made for.
    """

    def __init__(self, arch: 'Arch', *, first: bool, grid: Size, drop_path: float):
        dim = arch.width
        attention = SqueezedAttention if arch.squeezed else SelfAttention
        attn = attention(dim, arch.heads, qkv_bias=False, scale=(arch.scale_width or dim) ** -0.5)
        super().__init__(dim, attn, Mlp(dim, arch.mlp_width), drop_path=drop_path)
        self.grid = grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if first else None
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=INIT_STD)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.positions(size, x)
        return super().forward(x)

    def positions(self, size: Size, like: Tensor) -> Tensor:
        """(1 + H * W, C): the first token's, then those of the grid, resized bicubically."""
        table = sines(1 + math.prod(self.grid), like.shape[2], like.device)
        places = resize_positions(table[1:].unflatten(0, self.grid), size, mode='bicubic')
        return torch.cat([table[:1], places.flatten(0, 1)]).to(like.dtype)


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """blocks: those of the transformer, and the projection in front of them.

    performer: whether tokens are made by linear attention. squeezed: whether gates scale what attention returns.
    scale_width: logits are scaled by its square root, 0 for the width.
    """

    performer: bool = True
    squeezed: bool = False
    scale_width: int = 0

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        return tuple(sorted({0, (self.blocks - 1) // 2, self.blocks - 1}))


@MODELS.register_module()
class T2TViT(PlainBackbone):
    """Tokens-to-token vision transformer.

    No dense network was published. Unless told otherwise the maps are the tokens that the transformer is given, which
    are block 0, and those of its middle and last block, which alone passes through the final norm.

    Args:
        image_size: the side, or height and width, that positions are made for; they are resized bicubically for others.
        output_tokens: as in `PlainBackbone`; block 0 has no class token.
        The others are described in `PlainBackbone`; `patch_size` must be left out.
    """

    source = Source(
        paper='Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet, '
        'https://arxiv.org/abs/2101.11986',
        code='https://github.com/yitu-opensource/T2T-ViT',
        license='Clear BSD',
    )
    normed_outputs = 'last'
    embeds_parts = True

    def __init__(
        self, *, arch: str | Mapping[str, Any] = '7', drop_path_rate: float = 0.0, **common: Unpack[PlainOptions]
    ):
        super().__init__(arch=arch, **common)
        if self.patch_size != STRIDE:
            raise ValueError(f'T2T-ViT splits an image into tokens {STRIDE} pixels apart: leave out patch_size.')
        width = self.arch.width
        rates = drop_path_rates(drop_path_rate, [self.arch.blocks - 1])[0]
        self.build(
            patch_embed=TokensToToken(self.in_channels, self.arch.performer),
            blocks=[
                Projection(TOKEN_WIDTH * SPLITS[2][0] ** 2, width),
                *(Block(self.arch, first=i == 0, grid=self.grid, drop_path=rate) for i, rate in enumerate(rates)),
            ],
            norm=nn.LayerNorm(width),
        )

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        return (size,)

    def prefix_after(self, block: int) -> int:
        return int(block > 0)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' names, whose blocks do not count the projection; constant positions are dropped."""
        if not any(key.startswith('tokens_to_token.') for key in state_dict):
            return state_dict
        return rename(
            drop(state_dict, r'^pos_embed$', r'^head\.'),
            (r'^blocks\.(\d+)\.', lambda match: f'blocks.{int(match[1]) + 1}.'),
            (r'^cls_token$', 'blocks.1.cls_token'),
            (r'^tokens_to_token\.project\.', 'blocks.0.'),
            (r'^tokens_to_token\.(attention\d)\.(w$|kqv\.|proj\.)', r'patch_embed.\1.attn.\2'),
            (r'^tokens_to_token\.', 'patch_embed.'),
            (r'\.attn\.se_layer\.fc\.', '.attn.gates.'),
            (r'(attention\d\.mlp)\.0\.', r'\1.fc1.'),
            (r'(attention\d\.mlp)\.2\.', r'\1.fc2.'),
        )


def variant(width: int, depth: int, heads: int, mlp_ratio: int, **fields: Any) -> Arch:
    return Arch(width=width, blocks=1 + depth, heads=heads, hidden=mlp_ratio * width, **fields)


T2TViT.archs = {
    '7': variant(256, 7, 4, 2),
    '10': variant(256, 10, 4, 2),
    '12': variant(256, 12, 4, 2),
    '14': variant(384, 14, 6, 3),
    '19': variant(448, 19, 7, 3),
    '24': variant(512, 24, 8, 3),
    't_14': variant(384, 14, 6, 3, performer=False),
    't_19': variant(448, 19, 7, 3, performer=False),
    't_24': variant(512, 24, 8, 3, performer=False),
    '14_resnext': variant(384, 14, 32, 3),
    '14_se': variant(384, 14, 6, 3, squeezed=True),
    '14_wide': variant(768, 4, 12, 3, scale_width=512),
}
