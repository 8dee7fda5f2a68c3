"""iLLaMA: LLaMA's decoder as a vision transformer: causal, with rotary positions, the class token last.

Paper: "Adapting LLaMA Decoder to Vision Transformer", https://arxiv.org/abs/2404.06773.
Official code: https://github.com/techmonsterwang/iLLaMA (no licence), for classification only.

A patch attends to those before it, row by row, and to itself. The causal mask multiplies what the softmax returns, so
that rows do not sum to one: a patch at the top left keeps little of what it reads. In the authors' training the mask is
soft at first, r everywhere and 1 where it is causal, and r falls from 1 to 0. Besides a table of learned positions,
pairs of channels of queries and keys turn by the place in the sequence. Norms are RMS norms, MLPs are SwiGLUs, and
neither has a bias.

Legend: B batch, H W the map in patches, C channels, h heads, d head width, N = H * W + 1 tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.rotary import Rotation, rotate
from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Patches, PositionTable, Size, TokenEmbed
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, join
from denseformer.layers import Linear, PreNormBlock, SwiGLU, drop_path_rates
from denseformer.network import Source
from denseformer.registry import MODELS

ROTARY_BASE = 10000.0
MULTIPLE = 256
"""Hidden widths are rounded up to multiples of this."""


@cached_constant(32)
def sequence_rotation(length: int, width: int, device: torch.device, dtype: torch.dtype) -> Rotation:
    """Sine and cosine, (length + 1, d/2) each, of angles by the place of patches in their sequence.

    The class token stands in front here and has the place behind the last patch.
    """
    frequency = ROTARY_BASE ** (-torch.arange(0, width, 2, device=device, dtype=dtype) / width)
    place = torch.arange(-1, length, device=device, dtype=dtype)
    place = torch.where(place < 0, length, place)
    angle = place[:, None] * frequency
    return angle.sin(), angle.cos()


@cached_constant(32)
def soft_causal_mask(length: int, rate: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(length + 1, length + 1): 1 from a patch to itself and those before it, and from the class token; else `rate`."""
    causal = torch.ones(length + 1, length + 1, device=device, dtype=dtype).tril()
    causal = torch.cat([causal.new_zeros(length + 1, 1), causal[:, 1:]], 1)
    causal = torch.cat([causal.new_ones(1, length + 1), causal[1:]])
    return rate + (1 - rate) * causal


class CausalAttention(nn.Module):
    """Softmax attention whose probabilities a mask multiplies: (B, N, C) -> the same."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor, rotation: Rotation) -> Tensor:
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, h, N, d)
        q, k = rotate(qkv[:2], rotation)
        attention = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1) * mask
        return self.proj((attention @ qkv[2]).transpose(1, 2).flatten(2))


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """The MLPs are two thirds as wide as other networks', rounded up."""

    @property
    def mlp_width(self) -> int:
        return -(-(8 * self.width // 3) // MULTIPLE) * MULTIPLE


@MODELS.register_module()
class ILLaMA(PlainBackbone):
    """iLLaMA; returns maps without a norm.

    Args:
        soft_mask_rate: r of the soft mask: 0 for the causal one, 1 for none. The authors' training ends at 0.
        The others are described in `PlainBackbone`.

    The authors' network takes images of one size. Here position tables are resized bicubically, rotations go on.
    """

    source = Source(
        paper='Adapting LLaMA Decoder to Vision Transformer, https://arxiv.org/abs/2404.06773',
        code='https://github.com/techmonsterwang/iLLaMA',
        license='none given',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        soft_mask_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        **common: Unpack[PlainOptions],
    ):
        super().__init__(arch=arch, **common)
        if not 0 <= soft_mask_rate <= 1:
            raise ValueError(f'soft_mask_rate lies in 0..1, got {soft_mask_rate}.')
        self.soft_mask_rate = soft_mask_rate
        dim, heads = self.arch.width, self.arch.heads
        norm = partial(nn.RMSNorm, eps=1e-6)
        positions = PositionTable(dim, self.grid, rows=1)
        self.build(
            patch_embed=TokenEmbed(Patches(self.in_channels, dim, self.patch_size), dim, positions=positions),
            blocks=[
                PreNormBlock(
                    dim,
                    CausalAttention(dim, heads),
                    SwiGLU(dim, self.arch.mlp_width, bias=False),
                    drop_path=rate,
                    norm=norm,
                )
                for rate in drop_path_rates(drop_path_rate, [self.arch.blocks])[0]
            ],
            norm=norm(dim),
        )

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        """The mask, and the rotation of queries and keys in single precision at least."""
        dtype, length = torch.promote_types(x.dtype, torch.float32), size[0] * size[1]
        rotation = sequence_rotation(length, self.arch.width // self.arch.heads, x.device, dtype)
        return soft_causal_mask(length, self.soft_mask_rate, x.device, x.dtype), rotation

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' names; the class token's position, their last, becomes the first."""
        table = state_dict.get('pos_embed')
        if table is not None:
            state_dict = {**state_dict, 'pos_embed': torch.cat([table[:, -1:], table[:, :-1]], 1)}
        return PlainBackbone.remap_official_keys(join(state_dict, ('fc1', 'fc3'), 'fc1'), network)


ILLaMA.archs = {
    'tiny': Arch(width=192, blocks=12, heads=3),
    'small': Arch(width=384, blocks=12, heads=6),
    'base': Arch(width=768, blocks=12, heads=12),
    'large': Arch(width=1024, blocks=24, heads=16),
}
