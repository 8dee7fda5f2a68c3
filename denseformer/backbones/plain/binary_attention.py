"""BinaryAttention: DeiT with one bit for each number of queries and keys.

Paper: "BinaryAttention: One-Bit QK-Attention for Vision and Diffusion Transformers".
Official code: https://github.com/EdwardChasel/BinaryAttention (Apache-2.0), for classification only.

A bias per head and offset, as BEiT's, makes up for what the signs lose; positions are in a table besides. Magnitudes
are means over all tokens of an image, so what pads an image counts.

Legend: B batch, C channels, N tokens.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.binary import binary_attention
from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Patches, PositionTable, Size, TokenEmbed
from denseformer.backbones.plain.vit import RelativeBias, ViT
from denseformer.checkpoints.keys import StateDict
from denseformer.layers import Mlp, PreNormBlock, SelfAttention, drop_path_rates
from denseformer.network import Source
from denseformer.registry import MODELS


class OneBitAttention(SelfAttention):
    """`binary_attention` of all tokens, with a bias of offsets if `grid` is given: (B, N, C) -> the same."""

    def __init__(self, dim: int, heads: int, *, grid: Size | None, quantize: bool):
        super().__init__(dim, heads)
        self.bias = None if grid is None else RelativeBias(heads, grid)
        self.quantize = quantize

    def forward(self, x: Tensor, size: Size) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, h, N, d)
        bias = None if self.bias is None else self.bias(size)
        return self.proj(binary_attention(q, k, v, bias, quantize=self.quantize))


@MODELS.register_module()
class BinaryAttention(PlainBackbone):
    """DeiT with one-bit queries and keys; returns maps without a norm.

    Args:
        attn_quant: binarize queries and keys; without it this is DeiT.
        attn_bias: add a bias per head and offset to the logits.
        pv_quant: round the weights of attention and the values to eight bits.
        The others are described in `PlainBackbone`.

    The three are on in all published weights; the two last do nothing without the first. Tables of offsets are brought
    to `image_size` by BEiT's rule when they are loaded; for images of another size they are resized bicubically.
    """

    source = Source(
        paper='BinaryAttention: One-Bit QK-Attention for Vision and Diffusion Transformers',
        code='https://github.com/EdwardChasel/BinaryAttention',
        license='Apache-2.0',
    )
    no_weight_decay = (*PlainBackbone.no_weight_decay, 'bias.table')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        attn_quant: bool = True,
        attn_bias: bool = True,
        pv_quant: bool = True,
        drop_path_rate: float = 0.0,
        **common: Unpack[PlainOptions],
    ):
        super().__init__(arch=arch, **common)
        dim, heads = self.arch.width, self.arch.heads
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.attn_quant = attn_quant

        def attention() -> nn.Module:
            if not attn_quant:
                return SelfAttention(dim, heads)
            return OneBitAttention(dim, heads, grid=self.grid if attn_bias else None, quantize=pv_quant)

        self.build(
            patch_embed=TokenEmbed(
                Patches(self.in_channels, dim, self.patch_size), dim, positions=PositionTable(dim, self.grid, rows=1)
            ),
            blocks=[
                PreNormBlock(dim, attention(), Mlp(dim, self.arch.mlp_width), drop_path=rate, norm=norm)
                for rate in drop_path_rates(drop_path_rate, [self.arch.blocks])[0]
            ],
            norm=norm(dim),
        )

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        return (size,) if self.attn_quant else ()

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' layout, which is DeiT's with a table of offsets in each block."""
        return ViT.remap_official_keys(state_dict, network)


BinaryAttention.archs = {
    'tiny': PlainArch(width=192, blocks=12, heads=3),
    'small': PlainArch(width=384, blocks=12, heads=6),
    'base': PlainArch(width=768, blocks=12, heads=12),
}
