"""DRCT: Swin blocks with dense connections, against the loss of spatial information on the way.

Paper: "DRCT: Saving Image Super-resolution away from Information Bottleneck", https://arxiv.org/abs/2404.00722.
Official code: https://github.com/ming053l/DRCT (MIT).

A group is five shifted-window blocks of growing width: what a block returns is reduced to 32 channels and joined to
all that went before, and what the last returns is added, at a fifth, to what came in. The number of heads shrinks where
6 does not divide the width, and the last two MLPs are as wide as the map rather than twice as wide. The image is
reflected up to a multiple of 16, which the authors' code does outside the network.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.checkpoints.keys import StateDict, drop, linear_from_pointwise, rename
from denseformer.layers import Linear, Mlp, PreNormBlock, ShiftedWindowAttention
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationOptions
from denseformer.restoration.networks.trunk import TRUNK_RULES, Run, SwinIRBase, infer_window

BLOCKS = 5
MLP_RATIOS = (None, None, None, 1, 1)
"""One per block of a group; None for the arch's own."""


@dataclass(frozen=True, kw_only=True)
class Arch:
    """groups: of five blocks each; growth: channels that a block adds; heads: of the first block of a group."""

    groups: int
    dim: int = 180
    growth: int = 32
    heads: int = 6
    window: int = 16
    mlp_ratio: float = 2


class DenseGroup(nn.Module):
    """Five densely connected blocks, residual: (B, H, W, C) -> the same."""

    def __init__(self, arch: Arch, drop_path: float):
        super().__init__()
        widths = [arch.dim + i * arch.growth for i in range(BLOCKS)]
        outs = [arch.growth] * (BLOCKS - 1) + [arch.dim]
        self.blocks = nn.ModuleList(
            PreNormBlock(
                width,
                ShiftedWindowAttention(
                    width, arch.heads - width % arch.heads, window=arch.window, shift=arch.window // 2 * (i % 2)
                ),
                Mlp(width, int(width * (ratio or arch.mlp_ratio))),
                drop_path=drop_path,
            )
            for i, (width, ratio) in enumerate(zip(widths, MLP_RATIOS, strict=True))
        )
        self.adjust = nn.ModuleList(Linear(width, out) for width, out in zip(widths, outs, strict=True))

    def forward(self, x: Tensor, run: Run) -> Tensor:
        dense = x
        for block, adjust in zip(self.blocks[:-1], self.adjust[:-1], strict=True):
            dense = torch.cat([dense, F.leaky_relu(adjust(run(block, dense)), 0.2)], -1)
        return x + 0.2 * self.adjust[-1](run(self.blocks[-1], dense))


@MODELS.register_module()
class DRCT(SwinIRBase):
    """Dense-residual-connected Transformer.

    Args:
        drop_path_rate: stochastic depth; it grows from group to group, and reaches this after the last.
        The others are described in `RestorationNetwork`.
    """

    source = Source(
        paper='DRCT: Saving Image Super-resolution away from Information Bottleneck, https://arxiv.org/abs/2404.00722',
        code='https://github.com/ming053l/DRCT',
        license='MIT',
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
        groups = self.arch.groups
        self.assemble(
            dim=self.arch.dim, groups=[DenseGroup(self.arch, drop_path_rate * i / groups) for i in range(groups)]
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """1 x 1 convolutions become linear layers; position indices and shift masks are dropped."""
        renamed = rename(
            drop(state_dict, r'\.relative_position_index$', r'\.attn_mask$'),
            *TRUNK_RULES,
            (r'\.swin(\d)\.', lambda match: f'.blocks.{int(match[1]) - 1}.'),
            (r'\.adjust(\d)\.', lambda match: f'.adjust.{int(match[1]) - 1}.'),
        )
        return linear_from_pointwise(renamed)

    @classmethod
    def infer_arch(cls, weights: StateDict, trunk: dict[str, Any]) -> dict[str, Any] | None:
        if 'groups.0.adjust.0.weight' not in weights:
            return None
        window, heads = infer_window(weights['groups.0.blocks.0.attn.bias.table'])
        return {
            'groups': trunk['groups'],
            'dim': trunk['dim'],
            'growth': weights['groups.0.adjust.0.weight'].shape[0],
            'heads': heads,
            'window': window,
            'mlp_ratio': weights['groups.0.blocks.0.mlp.fc1.weight'].shape[0] / trunk['dim'],
        }


DRCT.archs = {'base': Arch(groups=6), 'large': Arch(groups=12)}
