"""InLine-PVT and InLine-Swin: injective linear attention in the layouts of the Pyramid Vision and Swin Transformers.

Paper: "Bridging the Divide: Reconsidering Softmax and Linear Attention", https://arxiv.org/abs/2412.06590.
Official code: https://github.com/LeapLabTHU/InLine (no licence given), for classification only.

Linear attention, its weights shifted so that they add up to 1, which lets different queries have different outputs; and
a depth-wise convolution of the values, its kernel made from the mean token of each image, for what is near.

The maps are returned without a norm. The authors' InLine-Swin takes the image size it was built for, up to which linear
attention sees the whole map; here it does at any size, and Swin's blocks, which end the network, pad their maps as
Swin's dense code does, but do not shift maps that fit into one window.

Legend: B batch, H W map, C channels, h heads, d head width, N tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.linear import injective_linear_attention
from denseformer.attention.neighbors_3x3 import shifts_3x3
from denseformer.backbones.base import BackboneOptions
from denseformer.backbones.global_attention import pvt
from denseformer.backbones.windows import swin
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.dynamic_shapes import is_symbolic
from denseformer.layers import Linear
from denseformer.network import Source
from denseformer.registry import MODELS

SOURCE = Source(
    paper='Bridging the Divide: Reconsidering Softmax and Linear Attention, https://arxiv.org/abs/2412.06590',
    code='https://github.com/LeapLabTHU/InLine',
    license='none given',
)
KERNEL_RULE = (r'\.attn\.residual\.', '.attn.kernel.')


class InLineAttention(nn.Module):
    """Injective linear attention, and a convolution of the values with a kernel of each image: (B, H, W, C) -> same."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.kernel = nn.Sequential(
            nn.Conv1d(dim, dim, 1, groups=heads), nn.GELU(), nn.Conv1d(dim, 9 * dim, 1, groups=heads)
        )
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x)
        q, k, v = qkv.flatten(1, 2).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, h, N, d)
        out = injective_linear_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        kernels = self.kernel(x.mean((1, 2))[..., None])  # (B, 9C, 1)
        return self.proj(out + convolve_each(qkv.chunk(3, dim=-1)[2], kernels))


def convolve_each(x: Tensor, kernels: Tensor) -> Tensor:
    """Depth-wise 3 x 3 convolution of each map with its own kernels: (B, H, W, C), (B, 9C, 1) -> (B, H, W, C).

    The maps become channels of one, which stays channel-last in memory: the layout that convolutions are fast in.
    """
    B, H, W, C = x.shape
    if is_symbolic(B):  # convolutions have a known number of groups
        return (torch.stack(list(shifts_3x3(x)), -1) * kernels.view(B, 1, 1, C, 9)).sum(-1)
    maps = x.permute(1, 2, 0, 3).reshape(1, H, W, B * C).permute(0, 3, 1, 2)
    out = F.conv2d(maps, kernels.view(B * C, 1, 3, 3), padding=1, groups=B * C).permute(0, 2, 3, 1)
    return out.reshape(H, W, B, C).permute(2, 0, 1, 3)  # (B, H, W, C)


@MODELS.register_module()
class InLinePVT(pvt.PVTBase):
    """InLine-PVT.

    Args:
        image_size: side of the square images that positions are learned for.
        The others are described in `Backbone`.
    """

    source = SOURCE

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        image_size: int = 224,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.build(image_size, drop_path_rate)

    def make_attention(self, stage: int, side: int) -> nn.Module:
        return InLineAttention(self.arch.widths[stage], self.arch.heads[stage])

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'InLinePVT') -> StateDict:
        """From the Pyramid Vision Transformer's names."""
        return rename(pvt.PVTBase.remap_official_keys(state_dict, network), KERNEL_RULE)


@dataclass(frozen=True, kw_only=True)
class SwinArch(swin.Arch):
    """linear_blocks: how many blocks of each stage, the first ones, have linear attention."""

    linear_blocks: tuple[int, ...]


@MODELS.register_module()
class InLineSwin(swin.SwinBase):
    """InLine-Swin.

    Args:
        window_size: side of the windows of Swin's blocks in tokens; None for the published models'.
        The others are described in `Backbone`.
    """

    source = SOURCE
    no_weight_decay = ('norm', 'bias.table')
    shift_small_maps = False

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        window_size: int | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.window_size = window_size or self.arch.window
        self.build(drop_path_rate, None)

    def make_attention(self, stage: int, index: int) -> nn.Module:
        if index >= self.arch.linear_blocks[stage]:
            return super().make_attention(stage, index)
        return InLineAttention(self.arch.widths[stage], self.arch.heads[stage])

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'InLineSwin') -> StateDict:
        """From Swin's names."""
        return rename(swin.SwinBase.remap_official_keys(state_dict, network), KERNEL_RULE)


InLinePVT.archs = {
    'tiny': pvt.Arch(depths=(2, 2, 2, 2), heads=(2, 4, 10, 16)),
    'small': pvt.Arch(depths=(3, 4, 6, 3), heads=(2, 4, 10, 16)),
    'medium': pvt.Arch(depths=(3, 4, 18, 3), heads=(2, 4, 10, 16)),
    'large': pvt.Arch(depths=(3, 8, 27, 3), heads=(2, 4, 10, 16)),
}
InLineSwin.archs = {
    'tiny': SwinArch(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), linear_blocks=(2, 2, 6, 0)),
    'small': SwinArch(width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24), linear_blocks=(2, 2, 0, 0)),
    'base': SwinArch(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), linear_blocks=(2, 2, 2, 0)),
}
