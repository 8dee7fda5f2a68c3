"""ViR: vision retention, whose tokens weigh those before them the less the farther away they are in the sequence.

Paper: "ViR: Towards Efficient Vision Retention Backbones", https://arxiv.org/abs/2310.19731.
Code by its authors: https://github.com/anom63931/ViR (no licence), for classification only.

Patches follow one another row by row, the class token last. The logit of a pair is multiplied by gamma ** distance, and
by zero where the key lies behind the query, before the softmax: what lies behind is not hidden, its logit is 0. That is
the parallel form, of which the classifier is made; the recurrent and the chunkwise one of the same code have no softmax
and compute something else.

Legend: B batch, H W the map in patches, C channels, h heads, d head width, N = H * W + 1 tokens.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Patches, PositionTable, Size, TokenEmbed
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import Linear, Mlp, PreNormBlock, drop_path_rates
from denseformer.network import Source
from denseformer.registry import MODELS

SPAN = 32, 512
"""How many tokens the first and the last head look back, about; the others lie between in equal ratios."""


@cached_constant(32)
def decay(length: int, heads: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(h, length + 1, length + 1): gamma ** distance of a head from a token to those before it, 0 to those behind.

    The class token stands in front here and has the place behind the last patch.
    """
    exponents = torch.linspace(-math.log(SPAN[0]), -math.log(SPAN[1]), heads, device=device, dtype=dtype)
    gamma = (1 - exponents.exp())[:, None, None]
    place = torch.arange(-1, length, device=device, dtype=dtype)
    place = torch.where(place < 0, length, place)
    distance = place[:, None] - place
    return torch.where(distance < 0, 0, gamma ** distance.clamp(min=0))


class Retention(nn.Module):
    """Softmax attention whose logits decay with the distance: (B, N, C) -> the same."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, decay: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, h, N, d)
        logits = q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1) * decay.to(x.dtype)
        return self.proj((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """Its classifier reads the last block alone."""

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        return (self.blocks - 1,)


@MODELS.register_module()
class ViR(PlainBackbone):
    """Vision retention network, in its parallel form.

    No dense network was published. Unless told otherwise there is one map, of the last block and through the final
    norm. Position tables, which have no row for the class token, are resized bicubically.

    Args:
        The options are described in `PlainBackbone`.
    """

    source = Source(
        paper='ViR: Towards Efficient Vision Retention Backbones, https://arxiv.org/abs/2310.19731',
        code='https://github.com/anom63931/ViR',
        license='none given',
    )
    normed_outputs = 'last'

    def __init__(
        self, *, arch: str | Mapping[str, Any] = 'small', drop_path_rate: float = 0.0, **common: Unpack[PlainOptions]
    ):
        super().__init__(arch=arch, **common)
        dim, heads = self.arch.width, self.arch.heads
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.build(
            patch_embed=TokenEmbed(
                Patches(self.in_channels, dim, self.patch_size),
                dim,
                cls_token=False,
                registers=1,  # the class token, which carries no position
                positions=PositionTable(dim, self.grid, rows=0),
            ),
            blocks=[
                PreNormBlock(dim, Retention(dim, heads), Mlp(dim, 4 * dim), drop_path=rate, norm=norm, layer_scale=1e-5)
                for rate in drop_path_rates(drop_path_rate, [self.arch.blocks])[0]
            ],
            norm=norm(dim),
        )

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        """The decay of logits, in single precision at least."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        return (decay(size[0] * size[1], self.arch.heads, x.device, dtype),)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' names."""
        state_dict = rename(
            state_dict,
            (r'^cls_token$', 'register_tokens'),
            (r'\.retention\.out_proj\.', '.attn.proj.'),
            (r'\.retention\.', '.attn.'),
        )
        return PlainBackbone.remap_official_keys(state_dict, network)


ViR.archs = {
    'small': Arch(width=384, blocks=12, heads=6),
    'base': Arch(width=768, blocks=12, heads=12),
    'large': Arch(width=1024, blocks=24, heads=16),
    'large_patch14': Arch(width=1024, blocks=24, heads=16, patch_size=14),
}
