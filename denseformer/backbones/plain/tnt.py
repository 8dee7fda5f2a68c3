"""TNT: transformer in transformer; every patch has sixteen words, which attend to one another in each block.

Paper: "Transformer in Transformer", https://arxiv.org/abs/2103.00112.
Official code: https://github.com/huawei-noah/Efficient-AI-Backbones, tnt_pytorch (Apache-2.0), for classification only.

Words are made by a 7 x 7 convolution of stride 4 that sees one patch at a time, zeros around it. In a block the words
of a patch attend and pass an MLP; all of them, projected, are added to the patch's token; then the tokens attend, the
class token among them.

Legend: B batch, H W the map in patches, C channels of tokens, c of words, h heads, N = 1 + H * W tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import PositionTable, Size
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.layers import Linear, Mlp, PreNormBlock, drop_path_rates, pad_image_to_multiple
from denseformer.layers.initializers import INIT_STD
from denseformer.network import Source
from denseformer.registry import MODELS

WORD_STRIDE = 4


class Attention(nn.Module):
    """Softmax attention without biases on queries, keys and values: (B, N, C) -> the same."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qk = Linear(dim, 2 * dim, bias=False)
        self.v = Linear(dim, dim, bias=False)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k = self.qk(x).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, h, N, d) each
        v = self.v(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        return self.proj(window_softmax_attention(q, k, v))


class Join(nn.Sequential):
    """The words of each patch as one token: (B * H * W, words, c) -> (B * H * W, C)."""

    def __init__(self, words: int, word_dim: int, dim: int, bias: bool):
        whole = words * word_dim
        super().__init__(nn.LayerNorm(whole), Linear(whole, dim, bias=bias), nn.LayerNorm(dim))

    def forward(self, words: Tensor) -> Tensor:
        return super().forward(words.flatten(1))


class Block(nn.Module):
    """Words, then tokens: (B * H * W, words, c) and (B, N, C) -> the same."""

    def __init__(self, arch: 'Arch', words: int, drop_path: float):
        super().__init__()
        dim, word_dim = arch.width, arch.word_width
        self.inner = PreNormBlock(
            word_dim, Attention(word_dim, arch.word_heads), Mlp(word_dim, 4 * word_dim), drop_path=drop_path
        )
        self.join = Join(words, word_dim, dim, bias=False)
        self.outer = PreNormBlock(dim, Attention(dim, arch.heads), Mlp(dim, arch.mlp_width), drop_path=drop_path)

    def forward(self, words: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        words = self.inner(words)
        joined = self.join(words).unflatten(0, (x.shape[0], -1))  # (B, H * W, C)
        return words, self.outer(torch.cat([x[:, :1], x[:, 1:] + joined], 1))


class WordEmbed(nn.Module):
    """An image to words and tokens: (B, C, height, width) -> (B * H * W, words, c), (B, N, C) and the map's (H, W)."""

    prefix = 1

    def __init__(self, in_channels: int, patch: int, arch: 'Arch', positions: PositionTable):
        super().__init__()
        self.patch = patch
        count = (patch // WORD_STRIDE) ** 2
        self.proj = nn.Conv2d(in_channels, arch.word_width, 7, WORD_STRIDE, 3)
        self.join = Join(count, arch.word_width, arch.width, bias=True)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, arch.width))
        self.word_positions = nn.Parameter(torch.zeros(1, count, arch.word_width))
        self.positions = positions
        for parameter in (self.cls_token, self.word_positions):
            nn.init.normal_(parameter, std=INIT_STD)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Size]:
        image = pad_image_to_multiple(image, self.patch)
        B, C = image.shape[:2]
        size = image.shape[2] // self.patch, image.shape[3] // self.patch
        patches = image.unflatten(3, (size[1], self.patch)).unflatten(2, (size[0], self.patch))
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(-1, C, self.patch, self.patch)  # (B * H * W, C, p, p)
        words = self.proj(patches).flatten(2).transpose(1, 2) + self.word_positions
        tokens = torch.cat([self.cls_token.expand(B, -1, -1), self.join(words).unflatten(0, (B, -1))], 1)
        return words, tokens + self.positions(size), size


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """word_width, word_heads: of the words."""

    word_width: int
    word_heads: int = 4

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        return self.blocks // 2 - 1, self.blocks - 1


@MODELS.register_module()
class TNT(PlainBackbone):
    """Transformer in transformer.

    No dense network was published. Unless told otherwise the maps are those of the middle and of the last block, which
    alone passes through the final norm. Position tables are resized bicubically.

    Args:
        The options are described in `PlainBackbone`; `patch_size` is a multiple of 4.
    """

    source = Source(
        paper='Transformer in Transformer, https://arxiv.org/abs/2103.00112',
        code='https://github.com/huawei-noah/Efficient-AI-Backbones',
        license='Apache-2.0',
    )
    normed_outputs = 'last'
    embeds_parts = True

    def __init__(
        self, *, arch: str | Mapping[str, Any] = 'small', drop_path_rate: float = 0.0, **common: Unpack[PlainOptions]
    ):
        super().__init__(arch=arch, **common)
        if self.patch_size % WORD_STRIDE:
            raise ValueError(f'patch_size must be a multiple of {WORD_STRIDE}, got {self.patch_size}.')
        words = (self.patch_size // WORD_STRIDE) ** 2
        self.build(
            patch_embed=WordEmbed(
                self.in_channels, self.patch_size, self.arch, PositionTable(self.arch.width, self.grid, rows=1)
            ),
            blocks=[Block(self.arch, words, rate) for rate in drop_path_rates(drop_path_rate, [self.arch.blocks])[0]],
            norm=nn.LayerNorm(self.arch.width),
        )

    def forward(self, image: Tensor) -> tuple[Any, ...]:
        """See `PlainBackbone`."""
        self.check_image(image)
        words, x, size = self.patch_embed(image)
        outs = []
        for i, block in enumerate(self.blocks):
            words, x = self.run(block, words, x)
            if i in self.out_indices:
                outs.append(self.output(self.norm(x) if self._is_normed(i) else x, size, self.prefix_after(i)))
        return tuple(outs)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From `inner` and `outer` parts; positions at `network`'s size."""
        table = 'patch_embed.positions.table'
        ours = table in state_dict
        state_dict = rename(
            drop(state_dict, r'^head\.', r'^outer_tokens$'),
            (r'^cls_token$', 'patch_embed.cls_token'),
            (r'^inner_pos$', 'patch_embed.word_positions'),
            (r'^outer_pos$', 'patch_embed.positions.table'),
            (r'^proj_norm([12])\.', lambda match: f'patch_embed.join.{2 * int(match[1]) - 2}.'),
            (r'^proj\.', 'patch_embed.join.1.'),
            (r'\.(inner|outer)_', r'.\1.'),
            (r'\.proj_norm1\.', '.join.0.'),
            (r'^(blocks\.\d+)\.proj\.', r'\1.join.1.'),
            (r'\.proj_norm2\.', '.join.2.'),
        )
        if table in state_dict:
            state_dict[table] = network.patch_embed.positions.fit(state_dict[table], ours=ours)
        return state_dict


TNT.archs = {
    'small': Arch(width=384, blocks=12, heads=6, word_width=24),
    'base': Arch(width=640, blocks=12, heads=10, word_width=40),
}
