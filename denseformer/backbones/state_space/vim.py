"""Vim: Vision Mamba, a plain column of two-way scans.

Paper: "Vision Mamba: Efficient Visual Representation Learning with Bidirectional State Space Model",
https://arxiv.org/abs/2401.09417.
Official code: https://github.com/hustvl/Vim (Apache-2.0).

Patches of 16 pixels, and one kind of block throughout: Mamba's mixer, pre-normalised and residual, that scans the rows
of patches forwards and backwards, each way with weights of its own. As in the authors' segmentation code, the maps are
what the mixers of every sixth block add to the sum, and in the small variant the sum, brought to strides 4, 8, 16 and
32. That code has no class token; in classifiers it stands in the middle of the tokens, and so does its position. It
rotates tokens in the small variant alone, before every block, by their place in the map, and the sums that it returns
are those that the next block reads, rotated. Their detector rotates tokens in all variants, and returns the sum behind
the last block, of which ViTDet's neck makes its levels.

The authors' code takes square images of the trained size. Here positions are resized to others; images are zero-padded
to whole patches, and maps cropped to the image.

Legend: B batch, H W map, C channels, L = H * W tokens, D inner channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.rotary import resized_rotation, rotate
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.dynamic_shapes import ceil_div
from denseformer.layers import DropPath, drop_path_rates, pad_image_to_multiple
from denseformer.layers.initializers import INIT_STD, draw, pytorch
from denseformer.layers.linear import Linear
from denseformer.layers.position import resize_positions
from denseformer.layers.state_space import SelectiveScan, scan_side_by_side
from denseformer.network import Source
from denseformer.registry import MODELS

PATCH = 16
STATES = 16
TRAINED_SIDE = 14
"""Rows and columns that rotations count on maps of any size: those of ImageNet training."""
RMSNorm = partial(nn.RMSNorm, eps=1e-5)


class CausalConv(nn.Conv1d):
    """A depth-wise convolution with a token and the three before it: (B, L, D) -> the same."""

    def __init__(self, channels: int):
        super().__init__(channels, channels, 4, padding=3, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT)[:, :, : x.shape[1]].mT


class TwoWayMamba(nn.Module):
    """Mamba's mixer, forwards and backwards: (B, H, W, C) -> the same. depth: blocks of the network."""

    def __init__(self, dim: int, depth: int):
        super().__init__()
        inner = 2 * dim
        self.in_proj = Linear(dim, 2 * inner, bias=False)
        self.convs = nn.ModuleList(CausalConv(inner) for _ in range(2))
        self.scans = nn.ModuleList(SelectiveScan(inner, STATES, ceil_div(dim, 16)) for _ in range(2))
        self.out_proj = Linear(inner, dim, bias=False)
        with torch.no_grad():
            self.out_proj.weight /= depth**0.5

    def forward(self, x: Tensor) -> Tensor:
        tokens, gate = self.in_proj(x.flatten(1, 2)).chunk(2, -1)  # (B, L, D)
        forwards, backwards = self.convs
        walked = F.silu(forwards(tokens)), F.silu(backwards(tokens.flip(1)))
        there, back = scan_side_by_side(self.scans, walked)
        return self.out_proj((there + back.flip(1)) / 2 * F.silu(gate)).view_as(x)


def rotated(x: Tensor) -> Tensor:
    """Tokens (B, H, W, C), rotated by their place."""
    return rotate(x, resized_rotation(tuple(x.shape[1:3]), TRAINED_SIDE, x.shape[3], x.device))


class Block(nn.Module):
    """The mixer, pre-normalised and residual: (B, H, W, C) -> the sum, and what was added, both the same.

    rope: whether tokens are rotated by their place first.
    """

    def __init__(self, dim: int, depth: int, rope: bool, drop_path: float):
        super().__init__()
        self.rope = rope
        self.norm1 = RMSNorm(dim)
        self.attn = TwoWayMamba(dim, depth)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.rope:
            x = rotated(x)
        branch = self.attn(self.norm1(x))
        return x + self.drop_path(branch), branch


class Column(Stage):
    """Successive blocks: (B, H, W, C) -> the sum, and what the last one added."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for block in self.blocks:
            x, branch = self.run(block, x)
        return x, branch


class PositionedPatches(nn.Module):
    """Patches to tokens with learned positions: (B, in_channels, H, W) -> (B, ceil(H/16), ceil(W/16), dim)."""

    def __init__(self, in_channels: int, dim: int, side: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, PATCH, PATCH)
        self.pos_embed = nn.Parameter(nn.init.normal_(torch.empty(side, side, dim), std=INIT_STD))
        draw(self.proj, self.proj.weight[0].numel() ** -0.5)

    def forward(self, image: Tensor) -> Tensor:
        x = self.proj(pad_image_to_multiple(image, PATCH)).permute(0, 2, 3, 1)  # (B, H, W, C)
        return x + resize_positions(self.pos_embed, tuple(x.shape[1:3]), 'bicubic')


def pyramid_levels(dim: int) -> list[nn.Module]:
    """From stride 16 to 4, 8, 16 and 32, on channel-first maps."""
    return [
        nn.Sequential(doubled(dim), nn.BatchNorm2d(dim), nn.GELU(), doubled(dim)),
        nn.Sequential(doubled(dim)),
        nn.Identity(),
        nn.MaxPool2d(2),
    ]


def doubled(dim: int) -> nn.Module:
    return nn.ConvTranspose2d(dim, dim, 2, 2)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """depths: blocks up to each map; rope: whether tokens are rotated by their place; sums: whether the pyramid's maps
    are sums, not what mixers add.
    """

    width: int
    depths: tuple[int, ...] = (6, 6, 6, 6)
    rope: bool = False
    sums: bool = False

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.width,) * len(self.depths)


@MODELS.register_module()
class Vim(Backbone):
    """Vision Mamba.

    Args:
        image_size: side of the images that positions are learned at, in pixels, a multiple of 16. Those of checkpoints
            are resized to it.
        rope: whether tokens are rotated by their place; None for what the authors' segmentation code does.
        pyramid: return maps at strides 4 to 32, of what the authors' segmentation code takes; False for the sums, all
            at stride 16, of which their detector takes the last one.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='Vision Mamba: Efficient Visual Representation Learning with Bidirectional State Space Model, '
        'https://arxiv.org/abs/2401.09417',
        code='https://github.com/hustvl/Vim',
        license='Apache-2.0',
    )
    no_weight_decay = ('norm', 'bias', '.D', 'pos_embed')
    initial_weights = staticmethod(pytorch)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        image_size: int = 512,
        rope: bool | None = None,
        pyramid: bool = True,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        if image_size < PATCH:
            raise ValueError(f'image_size must be at least a patch, {PATCH}, got {image_size}.')
        width, depths = self.arch.width, self.arch.depths
        self.rope = self.arch.rope if rope is None else rope
        self.pyramid = pyramid
        self.sums = self.arch.sums or not pyramid
        self.assemble(
            patch_embed=PositionedPatches(self.in_channels, width, image_size // PATCH),
            stages=[
                Column(Block(width, sum(depths), self.rope, rate) for rate in rates)
                for rates in drop_path_rates(drop_path_rate, depths)
            ],
            out_norms=pyramid_levels(width) if pyramid else None,
        )

    @property
    def out_strides(self) -> tuple[int, ...]:
        return super().out_strides if self.pyramid else (PATCH,) * len(self.out_indices)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See `Backbone`."""
        self.check_image(image)
        x = self.patch_embed(image)
        outs = []
        for i, (column, level) in enumerate(zip(self.stages, self.out_norms, strict=True)):
            x, branch = column(x)
            if i in self.out_indices:
                stride = self.strides[i] if self.pyramid else PATCH
                H, W = (ceil_div(side, stride) for side in image.shape[2:])
                out = self.as_read(x, i) if self.sums else branch
                outs.append(level(out.permute(0, 3, 1, 2))[:, :, :H, :W])  # (B, C, H, W)
        return tuple(outs)

    def as_read(self, x: Tensor, i: int) -> Tensor:
        """The sum behind part i of the blocks, as the next part reads it, if there is one."""
        return rotated(x) if self.rope and i + 1 < len(self.arch.depths) else x

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'Vim') -> StateDict:
        """From `layers.i`, counted through; positions lose the class token's and are resized as a map."""
        if 'pos_embed' not in state_dict:
            return state_dict
        first = [sum(network.arch.depths[:i]) for i in range(len(network.arch.depths))]

        def block(layer: int) -> str:
            stage = max(i for i, start in enumerate(first) if start <= layer)
            return f'stages.{stage}.blocks.{layer - first[stage]}.'

        renamed = rename(
            drop(state_dict, r'^head\.', r'^norm_f\.', r'^cls_token$', r'^rope\.'),
            (r'^layers\.(\d+)\.', lambda match: block(int(match[1]))),
            (r'^fpn([1-4])\.', lambda match: f'out_norms.{int(match[1]) - 1}.'),
            (r'^pos_embed$', 'patch_embed.pos_embed'),
            (r'\.norm\.weight$', '.norm1.weight'),
            (r'\.mixer\.A_b_log$', '.mixer.A_log_b'),
            (r'\.mixer\.conv1d(_b)?\.', lambda match: f'.attn.convs.{len(match[1] or "") // 2}.'),
            (r'\.mixer\.dt_proj(_b)?\.bias$', r'.mixer.dt_bias\1'),
            (r'\.mixer\.(x_proj|dt_proj)(_b)?\.weight$', r'.mixer.\1\2'),
            (
                r'\.mixer\.(A_log|D|x_proj|dt_proj|dt_bias)(_b)?$',
                lambda match: f'.attn.scans.{len(match[2] or "") // 2}.{match[1]}',
            ),
            (r'\.mixer\.', '.attn.'),
        )
        positions = renamed['patch_embed.pos_embed'][0]  # (N, C)
        if 'cls_token' in state_dict:
            middle = (len(positions) - 1) // 2  # behind the first half of the patches
            positions = torch.cat([positions[:middle], positions[middle + 1 :]])
        side = round(len(positions) ** 0.5)
        own = network.patch_embed.pos_embed.shape[:2]
        renamed['patch_embed.pos_embed'] = resize_positions(positions.view(side, side, -1), tuple(own), 'bicubic')
        return renamed


Vim.archs = {'tiny': Arch(width=192), 'small': Arch(width=384, rope=True, sums=True), 'base': Arch(width=768)}
