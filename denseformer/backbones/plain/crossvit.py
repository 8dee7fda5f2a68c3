"""CrossViT: two vision transformers of different patches, whose class tokens read each other's patches.

Paper: "CrossViT: Cross-Attention Multi-Scale Vision Transformer for Image Classification",
https://arxiv.org/abs/2103.14899.
Official code: https://github.com/IBM/CrossViT (Apache-2.0), for classification only.

One branch has small patches, few channels and few blocks, the other has large patches. Three times they run side by
side and then fuse: the class token of each, brought to the width of the other, attends to the other's patches and comes
back. So a patch sees the other branch through a class token alone. Behind the last blocks nothing is fused here: no
patch would learn of it. The second branch is given the image a little smaller, resized bicubically. The variants of
the name `dagger` have convolutions in place of patches.

Legend: B batch, H W map of patches, C channels of a branch, D of the other, h heads, N = 1 + H * W tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.base import Backbone, BackboneOptions, ParamGroup
from denseformer.backbones.plain.embedding import Patches, PositionTable, TokenEmbed
from denseformer.checkpoints.keys import StateDict, drop, join, rename
from denseformer.layers import (
    DropPath,
    Linear,
    Mlp,
    PreNormBlock,
    SelfAttention,
    drop_path_rates,
    pad_image_to_multiple,
)
from denseformer.network import Checkpointing, Source
from denseformer.registry import MODELS

PATCHES = (12, 16)
STAGES = 3
norm = partial(nn.LayerNorm, eps=1e-6)


class ConvPatches(nn.Module):
    """Three convolutions in place of patches: (B, in_channels, height, width) -> (B, dim, H, W)."""

    def __init__(self, in_channels: int, dim: int, patch: int):
        super().__init__()
        self.patch = patch
        middle, last = ((3, 3, 0), (3, 1, 1)) if patch == 12 else ((3, 2, 1), (3, 2, 1))  # kernel, stride, padding
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, dim // 4, 7, 4, 3),
            nn.ReLU(),
            nn.Conv2d(dim // 4, dim // 2, *middle),
            nn.ReLU(),
            nn.Conv2d(dim // 2, dim, *last),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(pad_image_to_multiple(image, self.patch))


class Fusion(nn.Module):
    """The class token reads the patches of the other branch: (B, N, C) and (B, M, D) -> (B, N, C)."""

    def __init__(self, dim: int, other: int, heads: int, drop_path: float):
        super().__init__()
        self.heads = heads
        self.into = nn.Sequential(norm(dim), nn.GELU(), Linear(dim, other))
        self.norm = norm(other)
        self.q = Linear(other, other)
        self.kv = Linear(other, 2 * other)
        self.proj = Linear(other, other)
        self.out = nn.Sequential(norm(other), nn.GELU(), Linear(other, dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        token = self.into(own[:, :1])  # (B, 1, D)
        tokens = self.norm(torch.cat([token, other[:, 1:]], 1))
        q = self.q(tokens[:, :1]).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, h, 1, D / h)
        k, v = self.kv(tokens).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, h, M, D / h) each
        token = token + self.drop_path(self.proj(window_softmax_attention(q, k, v)))
        return torch.cat([self.out(token), own[:, 1:]], 1)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """widths: of the branches; blocks: of the second branch in each of three stages, the first one has one.

    image_sizes: the sides of the square images that the branches are given.
    """

    widths: tuple[int, ...]
    blocks: int
    heads: int
    mlp_ratio: int = 3
    dagger: bool = False
    image_sizes: tuple[int, ...] = (240, 224)


class CrossBlock(nn.Module):
    """Blocks of both branches, then their fusion, if there is one: (B, N, C) and (B, M, D) -> the same."""

    def __init__(self, arch: Arch, rates: Sequence[float], *, fuse: bool):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                *(
                    PreNormBlock(
                        dim, SelfAttention(dim, arch.heads), Mlp(dim, arch.mlp_ratio * dim), drop_path=rate, norm=norm
                    )
                    for rate in rates[:depth]
                )
            )
            for dim, depth in zip(arch.widths, (1, arch.blocks), strict=True)
        )
        pairs = [arch.widths, arch.widths[::-1]] if fuse else []
        self.fusions = nn.ModuleList(Fusion(own, other, arch.heads, rates[-1]) for own, other in pairs)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        first, second = (branch(x) for branch, x in zip(self.branches, (first, second), strict=True))
        if not self.fusions:
            return first, second
        return self.fusions[0](first, second), self.fusions[1](second, first)


@MODELS.register_module()
class CrossViT(Checkpointing, Backbone):
    """CrossViT: the map of each branch, through its final norm.

    The second branch is given the image at 14 / 15 of its size (16 / 17 for the variants of 384 pixels), so that its
    stride is 17.1. Both are no pyramid, and no dense network was published.

    Args:
        image_size: side of the square images that positions are made for, in pixels; None for the variant's own. They
            are resized bicubically for others.
        out_indices, plugins: must be left out.
        frozen_stages: n >= 0 freezes the embeddings and the first n of the three stages.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='CrossViT: Cross-Attention Multi-Scale Vision Transformer for Image Classification, '
        'https://arxiv.org/abs/2103.14899',
        code='https://github.com/IBM/CrossViT',
        license='Apache-2.0',
    )
    strides = (12, 17)
    input_size = 240
    no_weight_decay = ('norm', 'positions', '_token')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        image_size: int | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        if len(self.out_indices) < len(PATCHES) or common.get('plugins'):
            raise ValueError(
                'CrossViT returns the maps of both branches, as they are: leave out out_indices and plugins.'
            )
        record = self.arch
        self.ratio = record.image_sizes[1] / record.image_sizes[0]
        sides = record.image_sizes if image_size is None else (image_size, round(image_size * self.ratio))
        self.patch_embed = nn.ModuleList(
            TokenEmbed(
                (ConvPatches if record.dagger else Patches)(self.in_channels, dim, patch),
                dim,
                positions=PositionTable(dim, (side // patch, side // patch), rows=1),
            )
            for dim, patch, side in zip(record.widths, PATCHES, sides, strict=True)
        )
        rates = drop_path_rates(drop_path_rate, [record.blocks] * STAGES)
        self.blocks = nn.ModuleList(CrossBlock(record, rate, fuse=i < STAGES - 1) for i, rate in enumerate(rates))
        self.out_norms = nn.ModuleList(norm(dim) for dim in record.widths)
        self.apply(self.initial_weights)
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, in_channels, height, width), normalised -> (B, C, H, W) of either branch."""
        self.check_image(image)
        smaller = [round(side * self.ratio) for side in image.shape[2:]]
        images = image, F.interpolate(image, smaller, mode='bicubic', align_corners=False)
        (first, size), (second, other_size) = (embed(x) for embed, x in zip(self.patch_embed, images, strict=True))
        for block in self.blocks:
            first, second = self.run(block, first, second)
        maps = zip(self.out_norms, (first, second), (size, other_size), strict=True)
        return tuple(norm(x)[:, 1:].unflatten(1, size).permute(0, 3, 1, 2) for norm, x, size in maps)

    def _frozen_modules(self) -> list[nn.Module]:
        return [] if self.frozen_stages < 0 else [self.patch_embed, *self.blocks[: self.frozen_stages]]

    def drop_keys_of_unbuilt_parts(self, state_dict: StateDict) -> StateDict:
        return state_dict

    @property
    def depth(self) -> int:
        return STAGES

    def param_groups(self) -> dict[str, ParamGroup]:
        """See `Backbone`; a stage is one layer."""

        def depth_of(name: str) -> int:
            part, *rest = name.split('.')
            return int(rest[0]) + 1 if part == 'blocks' else 0 if part == 'patch_embed' else STAGES + 1

        return {
            name: ParamGroup(decay=not any(part in name for part in self.no_weight_decay), depth=depth_of(name))
            for name, _ in self.named_parameters()
        }

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'CrossViT') -> StateDict:
        """From the authors' names and timm's; positions at `network`'s size."""
        last = STAGES - 1
        ours = 'patch_embed.0.positions.table' in state_dict
        state_dict = rename(
            drop(state_dict, r'^head\.', rf'^blocks\.{last}\.(projs|fusion|revert_projs)\.'),
            (r'^blocks\.(\d)\.blocks\.', r'blocks.\1.branches.'),
            (r'^blocks\.(\d)\.projs\.(\d)\.', r'blocks.\1.fusions.\2.into.'),
            (r'^blocks\.(\d)\.revert_projs\.(\d)\.', r'blocks.\1.fusions.\2.out.'),
            (r'^blocks\.(\d)\.fusion\.(\d)\.norm1\.', r'blocks.\1.fusions.\2.norm.'),
            (r'^blocks\.(\d)\.fusion\.(\d)\.attn\.w?', r'blocks.\1.fusions.\2.'),
            (r'^patch_embed\.(\d)\.proj\.', r'patch_embed.\1.patches.proj.'),
            (r'^cls_token[._](\d)$', r'patch_embed.\1.cls_token'),
            (r'^pos_embed[._](\d)$', r'patch_embed.\1.positions.table'),
            (r'^norm\.(\d)\.', r'out_norms.\1.'),
        )
        for i, embed in enumerate(network.patch_embed):
            table = f'patch_embed.{i}.positions.table'
            if table in state_dict:
                state_dict[table] = embed.positions.fit(state_dict[table], ours=ours)
        return join(state_dict, ('k', 'v'), 'kv')


CrossViT.archs = {
    'tiny': Arch(widths=(96, 192), blocks=4, heads=3, mlp_ratio=4),
    'small': Arch(widths=(192, 384), blocks=4, heads=6, mlp_ratio=4),
    'base': Arch(widths=(384, 768), blocks=4, heads=12, mlp_ratio=4),
    '9': Arch(widths=(128, 256), blocks=3, heads=4),
    '15': Arch(widths=(192, 384), blocks=5, heads=6),
    '18': Arch(widths=(224, 448), blocks=6, heads=7),
    '9_dagger': Arch(widths=(128, 256), blocks=3, heads=4, dagger=True),
    '15_dagger': Arch(widths=(192, 384), blocks=5, heads=6, dagger=True),
    '18_dagger': Arch(widths=(224, 448), blocks=6, heads=7, dagger=True),
    '15_dagger_384': Arch(widths=(192, 384), blocks=5, heads=6, dagger=True, image_sizes=(408, 384)),
    '18_dagger_384': Arch(widths=(224, 448), blocks=6, heads=7, dagger=True, image_sizes=(408, 384)),
}
