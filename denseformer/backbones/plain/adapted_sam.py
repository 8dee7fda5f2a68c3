"""USIS-SAM's encoder: SAM's, frozen, with adapters in some of its blocks.

Paper: "Diving into Underwater: Segment Anything Model Guided Underwater Salient Instance Segmentation and A Large-scale
Dataset", https://arxiv.org/abs/2406.06039.
Official code: https://github.com/LiamLian0727/USIS10K (Apache-2.0).

Three adapters to a block: a bottleneck behind attention, a gain on each channel of what attention adds, and a
bottleneck beside the MLP. SAM's branches are computed without gradients, which reach the adapters along the residual
path alone.

Legend: B batch, H W the map in patches, N = H * W tokens, C channels.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.plain import sam
from denseformer.backbones.plain.base import PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Size
from denseformer.checkpoints.keys import StateDict, linear_from_pointwise, rename
from denseformer.layers import Linear, Mlp, PreNormBlock
from denseformer.network import Source
from denseformer.registry import MODELS


class ChannelGate(nn.Module):
    """A gain in (0, 1) for each channel, of its mean and its maximum over all tokens: (B, N, C) -> (B, 1, C)."""

    def __init__(self, dim: int, hidden: int, act: Callable[[], nn.Module] = nn.GELU):
        super().__init__()
        self.fc1 = Linear(dim, hidden, bias=False)
        self.act = act()
        self.fc2 = Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean, largest = (self.fc2(self.act(self.fc1(each))) for each in (x.mean(1), x.amax(1)))
        return (mean + largest).sigmoid()[:, None]


class Adapters(nn.Module):
    """Adapters of one block: `space` and `color` change what attention adds, `mlp` adds to what the MLP does."""

    def __init__(self, dim: int, ratio: float = 0.25):
        super().__init__()
        hidden = int(dim * ratio)
        self.space = Mlp(dim, hidden)
        self.color = ChannelGate(dim, hidden)
        self.mlp = Mlp(dim, hidden)


class AdaptedBlock(PreNormBlock):
    """A block of SAM, with adapters or without; `frozen`: its own branches take no part in training."""

    def __init__(self, *parts: Any, **options: Any):
        super().__init__(*parts, **options)
        self.adapters: Adapters | None = None
        self.frozen = False

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """x: (B, N, C) -> the same."""
        own = torch.no_grad if self.frozen else nullcontext
        with own():
            attended = self.attn(self.norm1(x), size)
        if self.adapters is not None:
            attended = attended + self.adapters.space(attended)
            attended = attended * self.adapters.color(attended)
        x = x + self.drop_path(attended)
        with own():
            changed = self.mlp(self.norm2(x))
        if self.adapters is not None:
            changed = changed + 0.5 * self.adapters.mlp(x)
        return x + self.drop_path(changed)


@dataclass(frozen=True, kw_only=True)
class Arch(sam.Arch):
    """adapted: the numbers of the blocks with adapters."""

    adapted: tuple[int, ...]

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        return (*(block - 1 for block in self.adapted), self.blocks - 1)


@MODELS.register_module()
class AdaptedSAM(sam.SAM):
    """USIS-SAM's encoder; returns the maps that enter the blocks with adapters, and that of the last block.

    Args:
        frozen: whether all but the adapters stays as it is, which is the paper's way.
        The others are described in `SAM`, whose weights it starts from.

    The paper has the huge one; the others follow what the authors' config says of them.
    """

    source = Source(
        paper='Diving into Underwater: Segment Anything Model Guided Underwater Salient Instance Segmentation and A '
        'Large-scale Dataset, https://arxiv.org/abs/2406.06039',
        code='https://github.com/LiamLian0727/USIS10K',
        license='Apache-2.0',
    )
    block = AdaptedBlock

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'huge',
        neck: bool = False,
        frozen: bool = False,
        drop_path_rate: float = 0.0,
        **common: Unpack[PlainOptions],
    ):
        super().__init__(arch=arch, neck=neck, drop_path_rate=drop_path_rate, **common)
        if frozen:
            self.requires_grad_(False)
        for i, block in enumerate(self.blocks):
            block.frozen = frozen
            if i in self.arch.adapted:
                block.adapters = Adapters(self.arch.width).apply(self.initial_weights)
                block.adapters.requires_grad_(i >= self.frozen_stages)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' adapters beside transformers' encoder, or SAM's files."""
        state_dict = rename(
            state_dict,
            (r'^adapter\.adapter_(\d+)\.(space|color|mlp)_adapter\.', r'blocks.\1.adapters.\2.'),
        )
        state_dict = linear_from_pointwise(state_dict, r'\.adapters\.color\.')
        return sam.SAM.remap_official_keys(state_dict, network)

    @classmethod
    def truncated_arch(cls) -> dict[str, Any]:
        """A block of windows, and a global one with adapters."""
        return {**super().truncated_arch(), 'adapted': (1,)}


AdaptedSAM.archs = {
    'base': Arch(width=768, blocks=12, heads=12, global_blocks=(2, 5, 8, 11), adapted=tuple(range(1, 12, 2))),
    'large': Arch(width=1024, blocks=24, heads=16, global_blocks=(5, 11, 17, 23), adapted=tuple(range(1, 24, 2))),
    'huge': Arch(width=1280, blocks=32, heads=16, global_blocks=(7, 15, 23, 31), adapted=tuple(range(8, 32, 2))),
}
