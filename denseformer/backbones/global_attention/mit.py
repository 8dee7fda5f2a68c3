"""MiT: the encoder of SegFormer, four stages of attention to a map that is reduced first, and no positions.

Paper: "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
https://arxiv.org/abs/2105.15203.
Official code: https://github.com/NVlabs/SegFormer (NVIDIA Source Code License, non-commercial, code and weights).

The layout is PVT v2's with narrower MLPs: patches overlap, a depth-wise convolution in the MLP does without positions,
and the norm at the end of a stage feeds the next one. Keys and values come from a map that a strided convolution
reduces by 8, 4, 2 and 1; rows and columns that do not fill its kernel are left out. Norms of blocks and stages have an
epsilon of 1e-6, those of patches and reductions 1e-5.

Legend: B batch, H W map, C channels, h heads, d head width, r reduction, M = (H // r) * (W // r).
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.base import Backbone, BackboneOptions
from denseformer.backbones.global_attention.pvt_v2 import Arch, PVTv2Base, own_names
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import Linear
from denseformer.network import Source
from denseformer.registry import MODELS

REDUCTIONS = (8, 4, 2, 1)


class ReducedAttention(nn.Module):
    """Attention of all tokens to the tokens of a reduced map: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, reduction: int):
        super().__init__()
        self.heads = heads
        self.q = Linear(dim, dim)
        self.reduce = nn.Conv2d(dim, dim, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(dim) if reduction > 1 else None
        self.kv = Linear(dim, 2 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x
        if self.reduce is not None and self.norm is not None:
            tokens = self.norm(self.reduce(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))  # (B, H // r, W // r, C)
        q = self.q(x).flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, h, H * W, d)
        k, v = self.kv(tokens).flatten(1, 2).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, h, M, d)
        return self.proj(window_softmax_attention(q, k, v).view_as(x))


@MODELS.register_module()
class MiT(PVTv2Base):
    """Mix transformer. The arguments are described in `Backbone`."""

    source = Source(
        paper='SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers, '
        'https://arxiv.org/abs/2105.15203',
        code='https://github.com/NVlabs/SegFormer',
        license='NVIDIA Source Code License for SegFormer (non-commercial)',
    )
    mlp_ratios = (4, 4, 4, 4)
    no_weight_decay = ('norm',)

    def __init__(
        self, *, arch: str | Mapping[str, Any] = 'b0', drop_path_rate: float = 0.1, **common: Unpack[BackboneOptions]
    ):
        super().__init__(arch=arch, **common)
        self.build(drop_path_rate)

    def make_mixer(self, stage: int) -> nn.Module:
        return ReducedAttention(self.arch.widths[stage], self.arch.heads[stage], REDUCTIONS[stage])

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Backbone) -> StateDict:
        """From PVT v2's names."""
        return rename(own_names(state_dict), (r'\.attn\.sr\.', '.attn.reduce.'))


WIDTHS, HEADS = (64, 128, 320, 512), (1, 2, 5, 8)

MiT.archs = {
    'b0': Arch(widths=(32, 64, 160, 256), depths=(2, 2, 2, 2), heads=HEADS),
    'b1': Arch(widths=WIDTHS, depths=(2, 2, 2, 2), heads=HEADS),
    'b2': Arch(widths=WIDTHS, depths=(3, 4, 6, 3), heads=HEADS),
    'b3': Arch(widths=WIDTHS, depths=(3, 4, 18, 3), heads=HEADS),
    'b4': Arch(widths=WIDTHS, depths=(3, 8, 27, 3), heads=HEADS),
    'b5': Arch(widths=WIDTHS, depths=(3, 6, 40, 3), heads=HEADS),
}
