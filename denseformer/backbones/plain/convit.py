"""ConViT: a vision transformer whose heads begin as convolutions and learn how much to look at the content.

Paper: "ConViT: Improving Vision Transformers with Soft Convolutional Inductive Biases",
https://arxiv.org/abs/2103.10697.
Official code: https://github.com/facebookresearch/convit (CC BY-NC 4.0), for classification only.

In the first ten blocks each head mixes two attentions by a learned gate: one by content, one by the offset between
patches, a softmax of a quadratic polynomial in it. Such a softmax is the product of one over rows and one over columns,
which is how it is computed here, for maps of any sides. The class token joins behind those blocks and has no position.

Legend: B batch, H W the map in patches, C channels, h heads, d head width, N = H * W patches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Patches, PositionTable, Size, TokenEmbed
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.layers import Linear, Mlp, PreNormBlock, SelfAttention, drop_path_rates
from denseformer.layers.initializers import INIT_STD, linears
from denseformer.network import Source
from denseformer.registry import MODELS

norm = partial(nn.LayerNorm, eps=1e-6)


def offset_attention(side: int, linear: Tensor, quadratic: Tensor) -> Tensor:
    """softmax over keys of linear * offset + quadratic * offset ** 2 on an axis: (h,) and (h,) -> (h, side, side)."""
    place = torch.arange(side, device=linear.device, dtype=linear.dtype)
    offset = place - place[:, None]  # from the query, a row, to the key
    return (linear[:, None, None] * offset + quadratic[:, None, None] * offset**2).softmax(-1)


class GatedPositionalAttention(nn.Module):
    """Attention by content and by offset, mixed by a gate per head: (B, N, C) of a map (H, W) -> the same.

    offsets: the weights of dx, dy and their squared length in each head's logits, (h, 3).
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qk = Linear(dim, 2 * dim, bias=False)
        self.v = Linear(dim, dim, bias=False)
        self.proj = Linear(dim, dim)
        self.offsets = nn.Parameter(torch.zeros(heads, 3))
        self.gate = nn.Parameter(torch.ones(heads))

    def forward(self, x: Tensor, size: Size) -> Tensor:
        q, k = self.qk(x).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, h, N, d)
        v = self.v(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        by_content = window_softmax_attention(q, k, v).unflatten(2, (self.heads, -1))  # (B, N, h, d)
        dx, dy, squared = self.offsets.unbind(1)
        rows, columns = offset_attention(size[0], dy, squared), offset_attention(size[1], dx, squared)
        around = torch.einsum('hyi,hxj,bhijd->byxhd', rows, columns, v.unflatten(2, size))
        gate = self.gate.sigmoid()[:, None]
        return self.proj(((1 - gate) * by_content + gate * around.flatten(1, 2)).flatten(2))

    def draw_local(self) -> None:
        """Each head starts at another offset, as the positions of a convolution's kernel, and passes its values on."""
        nn.init.eye_(self.v.weight)
        nn.init.normal_(self.offsets, std=INIT_STD)
        side = int(self.heads**0.5)
        center = (side - 1) / 2 if side % 2 == 0 else side // 2
        with torch.no_grad():
            for head in range(side**2):
                row, column = head % side, head // side
                self.offsets[head] = torch.tensor([2 * (column - center), 2 * (row - center), -1.0])


def convolution_like(module: nn.Module) -> None:
    """The rule of initial weights: linear layers narrow, gated attention local."""
    linears(module)
    if isinstance(module, GatedPositionalAttention) and not module.offsets.is_meta:
        module.draw_local()


class GlobalBlock(PreNormBlock):
    """A block of all tokens, (B, 1 + N, C) -> the same; in the first one the class token joins, (B, N, C) -> ..."""

    def __init__(self, dim: int, heads: int, *, first: bool, drop_path: float):
        super().__init__(
            dim, SelfAttention(dim, heads, qkv_bias=False), Mlp(dim, 4 * dim), norm=norm, drop_path=drop_path
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if first else None
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=INIT_STD)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1)
        return super().forward(x)


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """local_blocks: how many blocks, the first, have gated attention and no class token."""

    local_blocks: int = 10

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        return self.blocks // 2 - 1, self.blocks - 1


@MODELS.register_module()
class ConViT(PlainBackbone):
    """ConViT.

    No dense network was published. Unless told otherwise the maps are those of the middle and of the last block, which
    alone passes through the final norm. Position tables are resized bicubically.

    Args:
        output_tokens: as in `PlainBackbone`; there is a class token behind the gated blocks only.
        The others are described in `PlainBackbone`.
    """

    source = Source(
        paper='ConViT: Improving Vision Transformers with Soft Convolutional Inductive Biases, '
        'https://arxiv.org/abs/2103.10697',
        code='https://github.com/facebookresearch/convit',
        license='CC-BY-NC-4.0',
    )
    normed_outputs = 'last'
    no_weight_decay = (*PlainBackbone.no_weight_decay, 'gate', 'bias')
    initial_weights = staticmethod(convolution_like)

    def __init__(
        self, *, arch: str | Mapping[str, Any] = 'tiny', drop_path_rate: float = 0.0, **common: Unpack[PlainOptions]
    ):
        super().__init__(arch=arch, **common)
        dim, heads, local = self.arch.width, self.arch.heads, self.arch.local_blocks
        if self.output_tokens and self.out_indices[0] < local:
            raise ValueError(
                f'ConViT has no tokens besides patches before block {local}: output_tokens=True needs out_indices from '
                'there on.'
            )
        embed = TokenEmbed(
            Patches(self.in_channels, dim, self.patch_size),
            dim,
            cls_token=False,
            positions=PositionTable(dim, self.grid, rows=0),
        )
        embed.prefix = int(self.out_indices[-1] >= local)
        rates = drop_path_rates(drop_path_rate, [self.arch.blocks])[0]
        self.build(
            patch_embed=embed,
            blocks=[
                PreNormBlock(dim, GatedPositionalAttention(dim, heads), Mlp(dim, 4 * dim), norm=norm, drop_path=rate)
                if i < local
                else GlobalBlock(dim, heads, first=i == local, drop_path=rate)
                for i, rate in enumerate(rates)
            ],
            norm=norm(dim),
        )

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        return (size,)

    def prefix_after(self, block: int) -> int:
        return int(block >= self.arch.local_blocks)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' names, which are timm's; biases of offsets, which change no softmax, are dropped."""
        state_dict = rename(
            drop(state_dict, r'\.pos_proj\.bias$', r'\.rel_indices$'),
            (r'^cls_token$', f'blocks.{network.arch.local_blocks}.cls_token'),
            (r'\.gating_param$', '.gate'),
            (r'\.pos_proj\.weight$', '.offsets'),
        )
        return PlainBackbone.remap_official_keys(state_dict, network)


ConViT.archs = {
    'tiny': Arch(width=192, blocks=12, heads=4),
    'small': Arch(width=432, blocks=12, heads=9),
    'base': Arch(width=768, blocks=12, heads=16),
}
