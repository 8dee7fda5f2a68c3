"""PyramidTNT: four stages of patches, called sentences, each with sixteen words that attend to one another.

Paper: "PyramidTNT: Improved Transformer-in-Transformer Baselines with Pyramid Architecture",
https://arxiv.org/abs/2201.00978.
Official code: https://github.com/huawei-noah/Efficient-AI-Backbones, tnt_pytorch (Apache-2.0), for classification only.

The first block of a stage, and the second of a long one, lets the words of each sentence attend and adds them to the
sentence. The sentences then attend to means of 4 x 4 or 2 x 2 sentences, or to all, with a learned bias for every pair.
Between stages 2 x 2 sentences merge: their words, laid out as an 8 x 8 map, become 4 x 4 words by a strided
convolution of their own.

The authors' network takes images of one size. Here images are zero-padded to multiples of 8; positions and
biases are resized bilinearly for maps of another size, biases along queries and keys alike.

Legend: B batch, H W map of sentences, C channels of sentences, c of words, h heads, d head width, r reduction,
N = H * W, M = (H // r) * (W // r).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.backbones.plain.embedding import Size, find_grid, square
from denseformer.caching import CachesInEval
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.dynamic_shapes import ceil_div, same_size
from denseformer.layers import DropPath, Linear, Mlp, drop_path_rates, pad_image_to_multiple, pad_to_multiple
from denseformer.layers.initializers import fan_out
from denseformer.layers.position import resize_positions
from denseformer.network import Source
from denseformer.registry import MODELS

SIDE = 4
"""Words of a sentence along either axis."""
STRIDE = 8
REDUCTIONS = (4, 2, 1, 1)
LONG = 6
"""A stage of more blocks has words in two of them."""


def grid_of_stage(grid: Size, stage: int) -> Size:
    """The map of a stage, of which the first has a map of size `grid`."""
    return ceil_div(grid[0], 2**stage), ceil_div(grid[1], 2**stage)


class PairBias(CachesInEval):
    """A learned bias per head and pair of a query and a key, for maps of any size: (H, W) -> (1, h, N, M)."""

    def __init__(self, heads: int, grid: Size, reduction: int):
        super().__init__()
        self.grid = grid
        self.reduction = reduction
        self.table = nn.Parameter(torch.randn(heads, math.prod(grid), math.prod(self.keys_of(grid))))

    def keys_of(self, size: Size) -> Size:
        return size[0] // self.reduction, size[1] // self.reduction

    def forward(self, size: Size) -> Tensor:
        return self.cached(size, lambda: self.resize(self.table, self.grid, size)[None])

    def resize(self, table: Tensor, grid: Size, size: Size) -> Tensor:
        """The table of a map of size `grid` as that of a map of another size."""
        if same_size(grid, size):
            return table
        old, keys = self.keys_of(grid), self.keys_of(size)
        table = table.transpose(1, 2).reshape(1, -1, *grid)  # (1, h * m, h', w')
        table = F.interpolate(table, size, mode='bilinear', align_corners=False)
        table = table.view(-1, math.prod(old), math.prod(size)).transpose(1, 2).reshape(1, -1, *old)  # (1, h * N, ..)
        table = F.interpolate(table, keys, mode='bilinear', align_corners=False)
        return table.view(-1, size[0] * size[1], keys[0] * keys[1])


class Attention(nn.Module):
    """Attention of all tokens to all, or to means of r x r of them: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, reduction: int = 1):
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.q = Linear(dim, dim, bias=False)
        self.reduce = nn.Sequential(Linear(dim, dim), nn.LayerNorm(dim)) if reduction > 1 else nn.Identity()
        self.kv = Linear(dim, 2 * dim, bias=False)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        tokens = x
        if self.reduction > 1:
            tokens = F.avg_pool2d(x.permute(0, 3, 1, 2), self.reduction).permute(0, 2, 3, 1)
        q = self.q(x).flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, h, N, d)
        kv = self.kv(self.reduce(tokens)).flatten(1, 2)
        k, v = kv.unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, h, M, d) each
        return self.proj(window_softmax_attention(q, k, v, bias).view_as(x))


class WordBlock(nn.Module):
    """Words attend to the words of their sentence, then an MLP: (B, H, W, 16, c) -> the same.

    The norms are over all words of a sentence at once.
    """

    def __init__(self, dim: int, heads: int, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(SIDE**2 * dim)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(SIDE**2 * dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, words: Tensor) -> Tensor:
        normed = self.norm1(words.flatten(-2)).view(-1, SIDE, SIDE, words.shape[-1])
        words = words + self.drop_path(self.attn(normed).view_as(words))
        return words + self.drop_path(self.mlp(self.norm2(words.flatten(-2)).view_as(words)))


class Block(nn.Module):
    """Words, then sentences: (B, H, W, 16, c) and (B, H, W, C) -> the same. words: their channels, 0 for none."""

    def __init__(self, dim: int, heads: int, *, words: int, word_heads: int, reduction: int, drop_path: float):
        super().__init__()
        self.words = WordBlock(words, word_heads, drop_path) if words else None
        if words:
            whole = SIDE**2 * words
            self.join = nn.Sequential(nn.LayerNorm(whole), Linear(whole, dim, bias=False), nn.LayerNorm(dim))
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads, reduction)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, words: Tensor, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        if self.words is not None:
            words = self.words(words)
            x = x + self.join(words.flatten(-2))
        x = x + self.drop_path(self.attn(self.norm1(x), bias))
        return words, x + self.drop_path(self.mlp(self.norm2(x)))


class Merge(nn.Module):
    """2 x 2 sentences to one, each with sixteen words: (B, H, W, ..) -> (B, ceil(H/2), ceil(W/2), ..) of both."""

    def __init__(self, dim: int, out_dim: int, words: int, out_words: int):
        super().__init__()
        self.word_norm = nn.LayerNorm(words)
        self.word_conv = nn.Conv2d(words, out_words, 3, 2, 1)
        self.norm = nn.LayerNorm(dim)
        self.conv = nn.Conv2d(dim, out_dim, 3, 2, 1)

    def forward(self, words: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv(self.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        c = words.shape[-1]
        words = pad_to_multiple(self.word_norm(words).flatten(-2), 2)
        B, H, W, _ = words.shape
        words = words.view(B, H // 2, 2, W // 2, 2, SIDE, SIDE, c).permute(0, 1, 3, 7, 2, 5, 4, 6)
        words = self.word_conv(words.reshape(-1, c, 2 * SIDE, 2 * SIDE))  # (B * H / 2 * W / 2, c', 4, 4)
        return words.flatten(2).transpose(1, 2).unflatten(0, (B, H // 2, W // 2)), x


class MergingStage(Stage):
    """A stage of sentences and their words, which share one table of biases."""

    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None, pairs: PairBias):
        super().__init__(blocks, downsample)
        self.pairs = pairs

    def forward(self, words: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.downsample, Merge):
            words, x = self.downsample(words, x)
        bias = self.pairs((x.shape[1], x.shape[2])).to(x.dtype)
        for block in self.blocks:
            words, x = self.run(block, words, x, bias)
        return words, x


def conv_norm_relu(dim: int, out_dim: int, stride: int) -> Iterable[nn.Module]:
    yield from (nn.Conv2d(dim, out_dim, 3, stride, 1), nn.BatchNorm2d(out_dim), nn.ReLU())


class Stem(nn.Module):
    """Convolutions to words, (B, H/8, W/8, 16, c), and to sentences, (B, H/8, W/8, C), both with positions."""

    def __init__(self, in_channels: int, dim: int, words: int, grid: Size):
        super().__init__()
        self.common = nn.Sequential(*conv_norm_relu(in_channels, 2 * words, 2))
        self.words = nn.Sequential(*conv_norm_relu(2 * words, words, 1))
        self.sentences = nn.Sequential(
            *conv_norm_relu(2 * words, 4 * words, 2),
            *conv_norm_relu(4 * words, 8 * words, 2),
            *conv_norm_relu(8 * words, dim, 1),
        )
        self.word_pos_embed = nn.Parameter(torch.zeros(SIDE**2, words))
        self.pos_embed = nn.Parameter(torch.zeros(*grid, dim))
        for positions in (self.word_pos_embed, self.pos_embed):
            nn.init.normal_(positions, std=0.02)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        common = self.common(pad_image_to_multiple(image, STRIDE))
        x = self.sentences(common).permute(0, 2, 3, 1)
        H, W = x.shape[1:3]
        words = self.words(common).unflatten(3, (W, SIDE)).unflatten(2, (H, SIDE))  # (B, c, H, 4, W, 4)
        words = words.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)  # (B, H, W, 16, c)
        return words + self.word_pos_embed, x + resize_positions(self.pos_embed, (H, W))


FACTORS = (1, 2, 4, 4)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """width, words, heads, word_heads: of the first stage; twice as many in the second, four times in the others.

    image_size: the side that positions and biases are learned at, in pixels.
    """

    width: int
    words: int
    heads: int
    word_heads: int
    depths: tuple[int, ...]
    image_size: int = 256

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.width * factor for factor in FACTORS)


@MODELS.register_module()
class PyramidTNT(Backbone):
    """Pyramid of transformers in transformers; maps of strides 8 to 64 are returned without a norm.

    Args:
        image_size: the side, or height and width, of the images that positions and biases are learned for, in pixels;
            None for the variant's own. Those of checkpoints are resized to it.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='PyramidTNT: Improved Transformer-in-Transformer Baselines with Pyramid Architecture, '
        'https://arxiv.org/abs/2201.00978',
        code='https://github.com/huawei-noah/Efficient-AI-Backbones',
        license='Apache-2.0',
    )
    strides = (8, 16, 32, 64)
    embeds_parts = True
    no_weight_decay = ('norm', 'bias', 'pos_embed')
    initial_weights = staticmethod(fan_out)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        image_size: int | Size | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        arch = self.arch
        height, width = square(image_size or arch.image_size)
        grid = ceil_div(height, STRIDE), ceil_div(width, STRIDE)
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, arch.depths)):
            blocks = [self._block(i, number, rate) for number, rate in enumerate(rates)]
            pairs = PairBias(arch.heads * FACTORS[i], grid_of_stage(grid, i), REDUCTIONS[i])
            stages.append(MergingStage(blocks, self._merge(i) if i else None, pairs))
        self.assemble(patch_embed=Stem(self.in_channels, arch.width, arch.words, grid), stages=stages)

    def _block(self, stage: int, number: int, drop_path: float) -> Block:
        arch, factor = self.arch, FACTORS[stage]
        has_words = number == 0 or (number == 1 and arch.depths[stage] > LONG)
        return Block(
            arch.width * factor,
            arch.heads * factor,
            words=arch.words * factor if has_words else 0,
            word_heads=arch.word_heads * factor,
            reduction=REDUCTIONS[stage],
            drop_path=drop_path,
        )

    def _merge(self, stage: int) -> Merge:
        into, out = FACTORS[stage - 1], FACTORS[stage]
        width, words = self.arch.width, self.arch.words
        return Merge(width * into, width * out, words * into, words * out)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See `Backbone`."""
        self.check_image(image)
        words, x = self.patch_embed(image)
        outs = []
        for i, stage in enumerate(self.stages):
            words, x = stage(words, x)
            x = self.plug_in(i, x)
            if i in self.out_indices:
                outs.append(x.permute(0, 3, 1, 2))  # (B, C, H, W)
        return tuple(outs)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'PyramidTNT') -> StateDict:
        """From `outer` and `inner` tokens; positions and biases at `network`'s size."""

        def merge(part: str) -> Any:
            return lambda match: f'stages.{int(match[1]) + 1}.downsample.{part}'

        positions, words = 'patch_embed.pos_embed', 'patch_embed.word_pos_embed'
        ours = positions in state_dict
        official = any(key.startswith(('outer_pos', 'stages.0.relative_pos', 'word_merges.')) for key in state_dict)
        state_dict = rename(
            drop(state_dict, r'^norm\.', r'^head\.') if official else state_dict,
            (r'^word_merges\.(\d)\.norm\.', merge('word_norm.')),
            (r'^word_merges\.(\d)\.conv\.0\.', merge('word_conv.')),
            (r'^sentence_merges\.(\d)\.norm\.', merge('norm.')),
            (r'^sentence_merges\.(\d)\.conv\.0\.', merge('conv.')),
            (r'^patch_embed\.common_conv\.', 'patch_embed.common.'),
            (r'^patch_embed\.inner_convs\.', 'patch_embed.words.'),
            (r'^patch_embed\.outer_convs\.', 'patch_embed.sentences.'),
            (r'^outer_pos$', 'patch_embed.pos_embed'),
            (r'^inner_pos$', 'patch_embed.word_pos_embed'),
            (r'\.relative_pos$', '.pairs.table'),
            (r'\.inner_', '.words.'),
            (r'\.outer_', '.'),
            (r'\.proj_norm1\.', '.join.0.'),
            (r'(blocks\.\d+)\.proj\.', r'\1.join.1.'),
            (r'\.proj_norm2\.', '.join.2.'),
            (r'\.attn\.linear\.', '.attn.reduce.0.'),
            (r'\.attn\.norm\.', '.attn.reduce.1.'),
        )
        if words in state_dict:
            state_dict[words] = state_dict[words].view(state_dict[words].shape[-2:])
        if positions in state_dict:
            table, (H, W) = state_dict[positions], network.patch_embed.pos_embed.shape[:2]
            if not ours:  # (1, N, C)
                table = table[0].unflatten(0, find_grid(table[0], (H, W), ours=False))
            state_dict[positions] = resize_positions(table, (H, W))
            for i, stage in enumerate(network.stages):
                pairs = f'stages.{i}.pairs.table'
                if pairs in state_dict:
                    biases = state_dict[pairs].view(state_dict[pairs].shape[-3:])
                    grid = grid_of_stage((table.shape[0], table.shape[1]), i)
                    state_dict[pairs] = stage.pairs.resize(biases, grid, stage.pairs.grid)
        return state_dict


PyramidTNT.archs = {
    'tiny': Arch(width=80, words=5, heads=2, word_heads=1, depths=(2, 6, 3, 2), image_size=192),
    'small': Arch(width=128, words=8, heads=4, word_heads=2, depths=(2, 8, 4, 2)),
    'medium': Arch(width=192, words=12, heads=4, word_heads=2, depths=(2, 8, 6, 2)),
    'base': Arch(width=256, words=16, heads=4, word_heads=2, depths=(2, 10, 6, 2)),
}
