"""STViT-R: Swin whose third stage works on a few semantic tokens, and gives their insight back to the map.

Paper: "Making Vision Transformers Efficient from A Token Sparsification View", https://arxiv.org/abs/2303.08685.
Official code: https://github.com/changsn/STViT-R-Object-Detection (MIT), which this is; the classification network,
https://github.com/changsn/STViT-R, looks at smaller regions and is tied to its image size.

The third stage repeats a round of six blocks. A Swin block without shift; two in which the 3 x 3 semantic tokens of
each 7 x 7 window, at first its maxima, ask a growing region of the map around it; two in which tokens attend to each
other, first in their window, then everywhere; and one in which the map asks the tokens of a region of 9 x 9 windows.

The authors mean to mask keys outside the map. Of a map that fills its windows nothing is masked in effect, of others
what lies around the padded map and, of the padding itself, only the part that is both right of and below the image, or
all where one side alone is padded; and where the map asks tokens, as many rows and columns of tokens as those of
padding. The checkpoints were trained so, and so it is here.

Legend: B batch, H W map, C channels, n windows, N = 49 positions and T = 9 tokens of a window, M keys, h heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.overlapping import sliding_windows
from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import Size, window_partition, window_reverse
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import BackboneOptions, Stage
from denseformer.backbones.windows.swin import SwinBase
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.dynamic_shapes import padding_to_multiple
from denseformer.layers import (
    ConvNorm,
    Linear,
    Mlp,
    PatchMerging,
    PreNormBlock,
    apply_layer_scale,
    drop_path_rates,
    pad_image_to_multiple,
    pad_to_multiple,
    to_channels_last,
)
from denseformer.network import Source
from denseformer.registry import MODELS

WINDOW, TOKENS = 7, 3  # sides of a window, in positions of the map and in semantic tokens
REGIONS = (14, 21)  # sides of what the tokens of a window ask, in positions, in the first block and the second
RESTORING_REGION = 27  # side of what a window of the map asks, in tokens
ROUND = 6  # blocks


@cached_constant(32)
def key_mask(size: Size, padding: Size, side: int, stride: int, device: torch.device) -> Tensor:
    """(n, 1, 1, M): 0 for keys that the windows of `sliding_windows` see, -1000 for the others.

    size: of the padded map of keys; padding: rows and columns of it that count as such. Of a window whose keys would
    all be masked none is.
    """
    inside = []
    for length, pad in zip(size, padding, strict=True):
        pad = torch.scalar_tensor(pad, dtype=torch.int64, device=device)
        inside.append((torch.arange(length, device=device) < length - pad) & (pad > 0))
    seen = F.pad((inside[0][:, None] | inside[1]).float(), margins(side, stride) * 2)
    mask = sliding_windows(1000 * (seen - 1)[None, ..., None], side, stride)[:, None, None, :, 0]
    return mask - mask.amax(-1, keepdim=True)


def margins(side: int, stride: int) -> Size:
    """How far windows of a side reach out before and after the `stride` positions in their middle."""
    return (side - stride) // 2, (side - stride + 1) // 2


class CrossAttention(nn.Module):
    """Attention of (n, N, C) to keys and values (n, M, 2C), which `kv` makes; mask: (n, 1, 1, M) -> (n, N, C)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = Linear(dim, dim)
        self.kv = Linear(dim, 2 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, kv: Tensor, mask: Tensor | None = None) -> Tensor:
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (n, h, N, d)
        k, v = kv.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (n, h, M, d)
        mask = None if mask is None else mask.to(q.dtype)
        return self.proj(window_softmax_attention(q, k, v, mask))


class CrossBlock(PreNormBlock):
    """A block that attends to a region of another map: one norm for both sides, small gains on the branches."""

    def __init__(self, dim: int, heads: int, drop_path: float):
        super().__init__(dim, CrossAttention(dim, heads), Mlp(dim, 4 * dim), drop_path=drop_path, layer_scale=1e-5)

    def ask(self, x: Tensor, keys: Tensor, *, side: int, stride: int, padding: Size) -> Tensor:
        """The attention branch: windows (B * n, N, C) to a region around each of `keys` (B, H, W, C) -> like x."""
        mask = key_mask((keys.shape[1], keys.shape[2]), padding, side, stride, keys.device)
        kv = self.attn.kv(self.norm1(F.pad(keys, (0, 0, *margins(side, stride) * 2))))
        kv = sliding_windows(kv, side, stride)  # (B * n, M, 2C)
        return self.drop_path(self.attn(self.norm1(x), kv, mask.repeat(keys.shape[0], 1, 1, 1)))

    def feed(self, x: Tensor) -> Tensor:
        return x + self.drop_path(apply_layer_scale(self.mlp(self.norm2(x)), self.gamma2))


class SemanticBlock(CrossBlock):
    """The tokens of each window ask the map around it: (B, n, T, C), (B, H, W, C) -> (B, n, T, C).

    region: side of what they ask, in positions.
    """

    def __init__(self, dim: int, heads: int, drop_path: float, *, region: int):
        super().__init__(dim, heads, drop_path)
        self.region = region

    def forward(self, tokens: Tensor, x: Tensor) -> Tensor:
        padding = padding_to_multiple(x.shape[1], WINDOW), padding_to_multiple(x.shape[2], WINDOW)
        keys = pad_to_multiple(x, WINDOW)
        branch = self.ask(tokens.flatten(0, 1), keys, side=self.region, stride=WINDOW, padding=padding)
        return self.feed(tokens + apply_layer_scale(branch.view_as(tokens), self.gamma1))


class TokenBlock(CrossBlock):
    """Semantic tokens attend to each other, in their window where `local`: (B, n, T, C) -> the same."""

    def __init__(self, dim: int, heads: int, drop_path: float, *, local: bool):
        super().__init__(dim, heads, drop_path)
        self.local = local

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.norm1(tokens.flatten(0, 1) if self.local else tokens.flatten(1, 2))
        branch = self.attn(x, self.attn.kv(x)).view_as(tokens)
        return self.feed(tokens + apply_layer_scale(self.drop_path(branch), self.gamma1))


class RestoreBlock(CrossBlock):
    """The map asks the tokens around each window: (B, H, W, C), (B, n, T, C) -> (B, H, W, C)."""

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        _, H, W, _ = x.shape
        padding = padding_to_multiple(H, WINDOW), padding_to_multiple(W, WINDOW)
        padded = H + padding[0], W + padding[1]
        windows = window_partition(pad_to_multiple(x, WINDOW), (WINDOW, WINDOW))  # (B, n, N, C)
        token_map = window_reverse(tokens, (TOKENS, TOKENS), tuple(side // WINDOW * TOKENS for side in padded))
        branch = self.ask(windows.flatten(0, 1), token_map, side=RESTORING_REGION, stride=TOKENS, padding=padding)
        branch = window_reverse(branch.view_as(windows), (WINDOW, WINDOW), padded)[:, :H, :W]
        return self.feed(x + apply_layer_scale(branch, self.gamma1))


def pool_tokens(x: Tensor) -> Tensor:
    """The maxima of 3 x 3 overlapping parts of each window: (B, H, W, C) -> (B, n, T, C)."""
    windows = window_partition(pad_to_multiple(x, WINDOW), (WINDOW, WINDOW))  # (B, n, N, C)
    maps = windows.flatten(0, 1).unflatten(1, (WINDOW, WINDOW)).permute(0, 3, 1, 2)  # (B * n, C, 7, 7)
    tokens = F.max_pool2d(maps, 3, 2).permute(0, 2, 3, 1)  # (B * n, 3, 3, C)
    return tokens.reshape(*windows.shape[:2], TOKENS * TOKENS, -1)


class SemanticStage(Stage):
    """Rounds of a Swin block, two semantic blocks, two token blocks and a restoring one: maps -> maps."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        for first in range(0, len(self.blocks), ROUND):
            swin, collect, refine, local, whole, restore = self.blocks[first : first + ROUND]
            x = self.run(swin, x)
            tokens = pool_tokens(x)
            for block in (collect, refine):
                tokens = self.run(block, tokens, x)
            for block in (local, whole):
                tokens = self.run(block, tokens)
            x = self.run(restore, x, tokens)
        return x


class ConvPatchEmbed(nn.Sequential):
    """Two strided convolutions of the image, zero-padded to a multiple of 4: -> (B, ceil(H/4), ceil(W/4), dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__(
            ConvNorm(in_channels, dim // 2, 3, 2, act=nn.Hardswish), ConvNorm(dim // 2, dim, 3, 2, act=nn.Hardswish)
        )

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(to_channels_last(pad_image_to_multiple(image, 4))).permute(0, 2, 3, 1)  # (B, H, W, C)


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """depths: blocks of each stage; of the third, rounds of six."""

    heads: tuple[int, ...]
    depths: tuple[int, ...] = (2, 2, 3, 2)


@MODELS.register_module()
class STViTR(SwinBase):
    """Swin with semantic tokens in the third stage, and their recovery. The arguments are described in `Backbone`."""

    source = Source(
        paper='Making Vision Transformers Efficient from A Token Sparsification View, https://arxiv.org/abs/2303.08685',
        code='https://github.com/changsn/STViT-R-Object-Detection',
        license='MIT',
    )
    no_weight_decay = ('norm', 'bias.table')
    window_size = WINDOW

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'swin_small',
        drop_path_rate: float = 0.2,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths, depths = self.arch.widths, list(self.arch.depths)
        depths[2] *= ROUND
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, depths)):
            downsample = PatchMerging(widths[i - 1], widths[i]) if i else None
            kind, make = (SemanticStage, self._semantic_block) if i == 2 else (Stage, self.make_block)
            stages.append(kind([make(i, j, rate) for j, rate in enumerate(rates)], downsample))
        self.assemble(
            patch_embed=ConvPatchEmbed(self.in_channels, widths[0]),
            stages=stages,
            out_norms=[nn.LayerNorm(width) for width in widths],
        )

    def _semantic_block(self, stage: int, index: int, drop_path: float) -> nn.Module:
        dim, heads = self.arch.widths[stage], self.arch.heads[stage]
        match index % ROUND:
            case 0:
                return self.make_block(stage, 0, drop_path)
            case 1 | 2 as place:
                return SemanticBlock(dim, heads, drop_path, region=REGIONS[place - 1])
            case 3 | 4 as place:
                return TokenBlock(dim, heads, drop_path, local=place == 3)
            case _:
                return RestoreBlock(dim, heads, drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'STViTR') -> StateDict:
        """From Swin's names, without the positions of tokens, which only the classification network has."""
        token_blocks = '|'.join(str(first + place) for first in (0, 6, 12) for place in (3, 4))
        return rename(
            SwinBase.remap_official_keys(
                drop(
                    state_dict,
                    rf'^layers\.2\.blocks\.({token_blocks})\.attn\.relative_position_(bias_table|index)$',
                    r'^layers\.2\.semantic_token2$',
                ),
                network,
            ),
            (r'^patch_embed\.proj\.0\.', 'patch_embed.0.'),
            (r'^patch_embed\.proj\.2\.', 'patch_embed.1.'),
            (r'^patch_embed\.(\d)\.c\.', r'patch_embed.\1.conv.'),
            (r'^patch_embed\.(\d)\.bn\.', r'patch_embed.\1.norm.'),
            (r'\.layer_scale_([12])$', r'.gamma\1'),
        )


STViTR.archs = {
    'swin_small': Arch(width=96, heads=(3, 6, 12, 24)),
    'swin_base': Arch(width=128, heads=(4, 8, 16, 32)),
}
