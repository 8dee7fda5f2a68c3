"""L2ViT: linear attention with local concentration.

Paper: "The Linear Attention Resurrection in Vision Transformer", https://arxiv.org/abs/2501.16182.
Official code: https://github.com/ChuanyangZheng/L2ViT (MIT).

Even blocks attend inside 7 x 7 windows with softmax; odd blocks attend globally with linear attention of rectified
queries and keys, whose normaliser is kept from below, and then concentrate what was spread by two 7 x 7 depth-wise
convolutions. Positions come from depth-wise convolutions alone. Images are zero-padded on the right and at the bottom
to a multiple of 4, odd maps to even ones, and normalised maps to whole windows, where the padding is attended to.

Legend: B batch, H W map, C channels, h heads, d head width.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.linear import linear_attention
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.layers import (
    ConvStem,
    DepthwiseConv,
    DropPath,
    Linear,
    Mlp,
    NormedPatchDownsample,
    PreNormBlock,
    ShiftedWindowAttention,
    drop_path_rates,
    pad_image_to_multiple,
)
from denseformer.layers.initializers import narrow
from denseformer.network import Source
from denseformer.registry import MODELS

WINDOW = 7
HEAD_WIDTH = 32
FLOOR = 100.0


class Stem(nn.Module):
    """Two strided convolutions, then LayerNorm: (B, in_channels, H, W) -> (B, ceil(H/4), ceil(W/4), dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.convs = ConvStem(in_channels, (dim // 2, dim), (2, 2), act=nn.ReLU)
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(self.convs(pad_image_to_multiple(image, 4)))


class LinearAttention(nn.Module):
    """Attention of all tokens to all at a cost linear in their number: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.heads = dim // HEAD_WIDTH
        self.temperature = nn.Parameter(torch.full((self.heads, 1, 1), HEAD_WIDTH**-0.5))
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).flatten(1, 2).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, h, H*W, d)
        out = linear_attention(q.relu(), k.relu(), v, floor=FLOOR) * self.temperature
        return self.proj(out.transpose(1, 2).reshape(x.shape))


class Reposition(nn.Module):
    """A second position encoding, between attention and MLP: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv = DepthwiseConv(dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class LocalConcentration(nn.Module):
    """Two wide depth-wise convolutions, pre-normalised and residual: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, drop_path: float):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.conv1 = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.act = nn.GELU()
        self.batch_norm = nn.BatchNorm2d(dim)
        self.conv2 = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        out = self.batch_norm(self.act(self.conv1(self.norm(x).permute(0, 3, 1, 2))))  # (B, C, H, W)
        return x + self.drop_path(self.conv2(out).permute(0, 2, 3, 1))


class Block(PreNormBlock):
    """Position encoding, attention, what the kind of attention lacks, MLP: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, *, linear: bool, drop_path: float):
        windows = ShiftedWindowAttention(dim, dim // HEAD_WIDTH, window=WINDOW, position_bias=False)
        attn = LinearAttention(dim) if linear else windows
        super().__init__(dim, attn, Mlp(dim, 4 * dim), drop_path=drop_path, pos_embed=DepthwiseConv(dim))
        self.local = LocalConcentration(dim, drop_path) if linear else Reposition(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encode_position(x)
        x = self.local(x + self.drop_path(self.attn(self.norm1(x))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


@MODELS.register_module()
class L2ViT(Backbone):
    """Linear-attention vision transformer with local concentration. The arguments are described in `Backbone`."""

    source = Source(
        paper='The Linear Attention Resurrection in Vision Transformer, https://arxiv.org/abs/2501.16182',
        code='https://github.com/ChuanyangZheng/L2ViT',
        license='MIT',
    )
    no_weight_decay = ()
    initial_weights = staticmethod(narrow)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        stages = [
            Stage(
                [Block(width, linear=j % 2 == 1, drop_path=rate) for j, rate in enumerate(rates)],
                NormedPatchDownsample(widths[i - 1], width, eps=1e-5, pad=True) if i else None,
            )
            for i, (width, rates) in enumerate(
                zip(widths, drop_path_rates(drop_path_rate, self.arch.depths), strict=True)
            )
        ]
        self.assemble(
            patch_embed=Stem(self.in_channels, widths[0]),
            stages=stages,
            out_norms=[nn.LayerNorm(width) for width in widths],
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'L2ViT') -> StateDict:
        """From `downsample_layers.i` and `stages.i.j`."""
        return rename(
            strip_classifier(state_dict, official=r'^downsample_layers\.'),
            (r'^downsample_layers\.0\.proj\.proj\.', 'patch_embed.convs.proj.'),
            (r'^downsample_layers\.0\.', 'patch_embed.'),
            (r'^downsample_layers\.(\d)\.proj\.', r'stages.\1.downsample.reduction.'),
            (r'^downsample_layers\.(\d)\.', r'stages.\1.downsample.'),
            (r'^stages\.(\d)\.(\d+)\.', r'stages.\1.blocks.\2.'),
            (r'\.cpe\.0\.proj\.', '.pos_embed.'),
            (r'\.cpe\.1\.proj\.', '.local.conv.'),
            (r'\.norm3\.', '.local.norm.'),
            (r'\.local_mp\.bn\.', '.local.batch_norm.'),
            (r'\.local_mp\.', '.local.'),
            (r'^norm(\d)\.', r'out_norms.\1.'),
        )


L2ViT.archs = {
    'tiny': DoublingArch(width=96, depths=(2, 2, 6, 2)),
    'small': DoublingArch(width=96, depths=(2, 2, 18, 2)),
    'base': DoublingArch(width=128, depths=(2, 2, 18, 2)),
}
