"""SHViT: attention with a single head, on a part of the channels.

Paper: "SHViT: Single-Head Vision Transformer with Memory Efficient Macro Design", https://arxiv.org/abs/2401.16456.
Official code: https://github.com/ysj9909/SHViT (MIT).

Tokens are few (the first stage is at stride 16) and heads redundant, so one head attends to all positions, with about a
quarter of the channels; the others pass by untouched, and one projection mixes both. Positions are told apart by
convolutions alone. The first stage does not attend. Three maps, at strides 16, 32 and 64, are returned as they are.

The published detectors keep BatchNorm's statistics of ImageNet (`norm_eval`) and have no stochastic depth. The largest
variant was trained at 256 pixels.

Legend: B batch, H W map, N = H * W tokens, C channels, p channels that attend, d width of queries and keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.base import BackboneOptions
from denseformer.backbones.light.sandwich import SandwichSkeleton, rename_skeleton
from denseformer.checkpoints.keys import StateDict
from denseformer.layers import ConvNorm, ConvNormMlp, DropPath
from denseformer.network import Source
from denseformer.registry import MODELS

QUERY_WIDTH = 16


class SingleHeadAttention(nn.Module):
    """Attention of the first `partial` channels, then a projection of all: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, partial: int):
        super().__init__()
        self.parts = [partial, dim - partial]
        self.widths = [QUERY_WIDTH, QUERY_WIDTH, partial]
        self.norm = nn.GroupNorm(1, partial)
        self.qkv = ConvNorm(partial, sum(self.widths))
        self.proj = ConvNorm(dim, dim, zero_init=True)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        attending, rest = x.split(self.parts, 1)
        qkv = self.qkv(self.norm(attending)).permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, 2d + p)
        q, k, v = qkv.unsqueeze(1).split(self.widths, -1)  # each (B, 1, N, ..)
        attended = window_softmax_attention(q, k, v).unflatten(1, (H, W)).permute(0, 3, 1, 2)  # (B, p, H, W)
        return self.proj(F.relu(torch.cat((attended, rest), 1)))


class Block(nn.Module):
    """Depth-wise convolution, attention if asked for, MLP, each residual: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, partial: int | None, drop_path: float):
        super().__init__()
        self.conv = ConvNorm(dim, dim, 3, groups=dim, zero_init=True)
        self.attn = None if partial is None else SingleHeadAttention(dim, partial)
        self.mlp = ConvNormMlp(dim, 2 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.conv(x))
        if self.attn is not None:
            x = x + self.drop_path(self.attn(x))
        return x + self.drop_path(self.mlp(x))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """partial: channels of each stage that attend, None for a stage without attention."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    partial: tuple[int | None, ...]


@MODELS.register_module()
class SHViT(SandwichSkeleton):
    """SHViT."""

    source = Source(
        paper='SHViT: Single-Head Vision Transformer with Memory Efficient Macro Design, '
        'https://arxiv.org/abs/2401.16456',
        code='https://github.com/ysj9909/SHViT',
        license='MIT',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 's1',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.build(drop_path_rate)

    def make_block(self, stage: int, drop_path: float) -> nn.Module:
        return Block(self.arch.widths[stage], self.arch.partial[stage], drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'SHViT') -> StateDict:
        return rename_skeleton(
            state_dict,
            (r'\.(conv|ffn)\.m\.', lambda match: '.mlp.' if match[1] == 'ffn' else '.conv.'),
            (r'\.mixer\.m\.pre_norm\.', '.attn.norm.'),
            (r'\.mixer\.m\.proj\.1\.', '.attn.proj.'),
            (r'\.mixer\.m\.', '.attn.'),
        )


SHViT.archs = {
    's1': Arch(widths=(128, 224, 320), depths=(2, 4, 5), partial=(None, 48, 68)),
    's2': Arch(widths=(128, 308, 448), depths=(2, 4, 5), partial=(None, 66, 96)),
    's3': Arch(widths=(192, 352, 448), depths=(3, 5, 5), partial=(None, 75, 96)),
    's4': Arch(widths=(224, 336, 448), depths=(4, 7, 6), partial=(None, 72, 96)),
}
