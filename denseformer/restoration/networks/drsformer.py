"""DRSformer: Learning A Sparse Transformer Network for Effective Image Deraining.

Paper: https://arxiv.org/abs/2303.11950. Official code: https://github.com/cschenxiang/DRSformer (no licence).

A U-shaped network. Channels attend to channels through four softmaxes, each over another number of the largest cosines,
mixed by learned gains. With `experts`, a mixture of convolutions stands before and after the U; the authors leave it
out for Rain200L and SPA-Data.

Sums that the authors compute term by term are taken once: the four attention maps before they meet the values, the
weights of the experts inside the 1 x 1 convolution that merges them, a convolution over pairs of channels as a
depth-wise one whose neighboring outputs are added.

Which cosines are the largest is a hard choice that rounding changes: in bfloat16 the output deviates by 0.28 of its
standard deviation from that in float32 (`python -m benchmarks.precision DRSformer:base:32`, made-up weights); prefer
float32.

Legend: B batch, H W map, N tokens, C channels, h heads, d channels of a head.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.channel import channel_cosines, mix_channels, top_k_mixture
from denseformer.checkpoints.keys import StateDict, count, linear_from_pointwise, rename
from denseformer.layers import DepthwiseConv, Linear, PreNormBlock
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationNetwork, RestorationOptions
from denseformer.restoration.networks.layers import convolve

SHARES = ((1, 2), (2, 3), (3, 4), (4, 5))
"""The fractions of the channels of a head that the four softmaxes are taken over."""


class SparseAttention(nn.Module):
    """Attention among the channels of a head, to the most alike ones: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.counts = [max(dim // heads * part // whole, 1) for part, whole in SHARES]
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.gains = nn.Parameter(torch.full((len(SHARES),), 0.2))
        self.qkv = Linear(dim, 3 * dim, bias=False)
        self.dwconv = DepthwiseConv(3 * dim, bias=False)
        self.proj = Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.dwconv(self.qkv(x)).flatten(1, 2)  # (B, N, 3C)
        q, k, v = qkv.unflatten(-1, (3, len(self.temperature), -1)).unbind(2)  # each (B, N, h, d)
        weights = top_k_mixture(channel_cosines(q, k) * self.temperature, self.counts, self.gains)
        return self.proj(mix_channels(v, weights)).view(x.shape)


class PairConv(nn.Conv2d):
    """A convolution of neighboring pairs of channels to one channel each: (B, H, W, 2C) -> (B, H, W, C)."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__(2 * dim, dim, kernel_size, padding=kernel_size // 2, groups=dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.flatten(0, 1)[:, None]  # (2C, 1, k, k)
        x = F.conv2d(x.permute(0, 3, 1, 2), weight, padding=self.padding, groups=len(weight)).permute(0, 2, 3, 1)
        return x[..., ::2] + x[..., 1::2]


class MixedScaleMlp(nn.Module):
    """An MLP with two stages of 3 x 3 and 5 x 5 convolutions, halves exchanged between them: (B, H, W, C)."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = Linear(dim, 2 * hidden, bias=False)
        self.dwconv3 = DepthwiseConv(2 * hidden, 3, bias=False)
        self.dwconv5 = DepthwiseConv(2 * hidden, 5, bias=False)
        self.pairs3 = PairConv(hidden, 3)
        self.pairs5 = PairConv(hidden, 5)
        self.fc2 = Linear(2 * hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.exchange(self.fc1(x))
        return self.fc2(torch.cat((self.pairs3(first), self.pairs5(second)), -1).relu_())

    def exchange(self, x: Tensor) -> tuple[Tensor, ...]:
        """The first halves of both scales, and the second halves: (B, H, W, 2C') -> two of that shape."""
        fine, coarse = (conv(x).chunk(2, -1) for conv in (self.dwconv3, self.dwconv5))
        return tuple(torch.cat(halves, -1).relu_() for halves in zip(fine, coarse, strict=True))


class SeparableExpert(nn.Module):
    """Depth-wise, linear, ReLU, depth-wise, linear: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        self.dw1 = DepthwiseConv(dim, kernel_size, bias=False)
        self.pw1 = Linear(dim, dim, bias=False)
        self.dw2 = DepthwiseConv(dim, kernel_size, bias=False)
        self.pw2 = Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pw2(self.dw2(self.pw1(self.dw1(x)).relu()))


class DilatedExpert(nn.Module):
    """A depth-wise convolution of dilation 2, linear: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        self.dw2 = nn.Conv2d(dim, dim, kernel_size, padding=kernel_size - 1, dilation=2, groups=dim, bias=False)
        self.pw2 = Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pw2(convolve(self.dw2, x))


class ExpertStep(nn.Module):
    """Seven convolutions and an average, weighted, and merged to C channels: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.experts = nn.ModuleList([SeparableExpert(dim, size) for size in (1, 3, 5, 7)])
        self.experts.extend(DilatedExpert(dim, size) for size in (3, 5, 7))
        self.merge = Linear(8 * dim, dim, bias=False)

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        """shares: (B, 8), the weights of the experts and of the average."""
        average = F.avg_pool2d(x.permute(0, 3, 1, 2), 3, 1, 1, count_include_pad=False).permute(0, 2, 3, 1)
        outs = [*(expert(x) for expert in self.experts), average]
        weighted = [out * share[:, None, None, None] for out, share in zip(outs, shares.unbind(1), strict=True)]
        return self.merge(torch.cat(weighted, -1)).relu()


class Experts(nn.Module):
    """The mixture-of-experts feature compensator: (B, H, W, C) -> the same. One set of weights, from the mean token."""

    def __init__(self, dim: int, steps: int = 4):
        super().__init__()
        self.gate1 = Linear(dim, 16 * steps)
        self.gate2 = Linear(16 * steps, 8 * steps)
        self.proj = Linear(dim, dim, bias=False)
        self.steps = nn.ModuleList(ExpertStep(dim) for _ in range(steps))

    def forward(self, x: Tensor) -> Tensor:
        shares = self.gate2(self.gate1(x.mean((1, 2))).relu()).unflatten(-1, (-1, 8)).softmax(-1)  # (B, steps, 8)
        x = self.proj(x).relu()
        for i, step in enumerate(self.steps):
            x = x + step(x, shares[:, i])
        return x


@dataclass(frozen=True, kw_only=True)
class Arch:
    """dim: channels at full size, doubled at each halving; blocks, heads: of the four levels, from the outermost."""

    dim: int
    blocks: tuple[int, ...]
    heads: tuple[int, ...]
    expansion: float


@MODELS.register_module()
class DRSformer(RestorationNetwork):
    """Deraining Sparse Transformer; any other restoration at the image's own size as well.

    Args:
        experts: with the mixture of experts before and after the U; False for the Rain200L and SPA-Data weights.
        The others are described in `RestorationNetwork`.
    """

    source = Source(
        paper='Learning A Sparse Transformer Network for Effective Image Deraining, https://arxiv.org/abs/2303.11950',
        code='https://github.com/cschenxiang/DRSformer',
        license='none given',
    )
    scales = (1,)
    default_scale = 1
    size_multiple = 8
    tile_overlap = 32

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        experts: bool = True,
        **common: Unpack[RestorationOptions],
    ):
        super().__init__(arch=arch, **common)
        arch, dim = self.arch, self.arch.dim
        self.size_multiple = 2 ** (len(arch.blocks) - 1)
        widths = [dim * 2**i for i in range(len(arch.blocks))]
        inner = range(len(widths) - 1)
        self.conv_first = nn.Conv2d(self.in_channels, dim, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(self._level(i, width) for i, width in enumerate(widths))
        self.down = nn.ModuleList(nn.Conv2d(widths[i], widths[i] // 2, 3, padding=1, bias=False) for i in inner)
        self.up = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i + 1] * 2, 3, padding=1, bias=False) for i in inner)
        self.reduce = nn.ModuleList(Linear(2 * width, width, bias=False) for width in widths[1:-1])
        self.decoder = nn.ModuleList(self._level(i, max(widths[i], 2 * dim)) for i in inner)
        self.experts_in = Experts(dim) if experts else nn.Identity()
        self.experts_out = Experts(2 * dim) if experts else nn.Identity()
        self.conv_last = nn.Conv2d(2 * dim, self.in_channels, 3, padding=1, bias=False)

    def _level(self, index: int, width: int) -> nn.ModuleList:
        heads, hidden = self.arch.heads[index], int(width * self.arch.expansion)
        blocks = (
            PreNormBlock(width, SparseAttention(width, heads), MixedScaleMlp(width, hidden), drop_path=0)
            for _ in range(self.arch.blocks[index])
        )
        return nn.ModuleList(blocks)

    def restore(self, image: Tensor) -> Tensor:
        x = self.conv_first(image).permute(0, 2, 3, 1)  # (B, H, W, C)
        x = self.run(self.experts_in, x)
        skips = []
        for i, level in enumerate(self.encoder):
            if i:
                skips.append(x)
                x = F.pixel_unshuffle(self.down[i - 1](x.permute(0, 3, 1, 2)), 2).permute(0, 2, 3, 1)
            x = self.run_all(level, x)
        for i in reversed(range(len(self.decoder))):
            x = F.pixel_shuffle(self.up[i](x.permute(0, 3, 1, 2)), 2).permute(0, 2, 3, 1)
            x = torch.cat((x, skips[i]), -1)
            x = self.run_all(self.decoder[i], self.reduce[i - 1](x) if i else x)
        return convolve(self.conv_last, self.run(self.experts_out, x)).permute(0, 3, 1, 2) + image

    def run_all(self, blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
        for block in blocks:
            x = self.run(block, x)
        return x

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """From levels by name, and the experts' layers by number. The four gains become one parameter."""
        renamed = rename(state_dict, *OFFICIAL_NAMES)
        for stem in [key.removesuffix('attn1') for key in renamed if key.endswith('.attn1')]:
            renamed[stem + 'gains'] = torch.cat([renamed.pop(f'{stem}attn{i}').flatten() for i in (1, 2, 3, 4)])
        return linear_from_pointwise(renamed)

    @classmethod
    def infer_options(cls, state_dict: StateDict) -> dict[str, Any] | None:
        weights = cls.remap_official_keys(state_dict)
        if 'encoder.0.0.attn.gains' not in weights:
            return None
        dim, channels = weights['conv_first.weight'].shape[:2]
        levels = count(weights, r'encoder\.(\d+)\.')
        hidden = weights[f'encoder.{levels - 1}.0.mlp.pairs3.weight'].shape[0]
        fields = {
            'dim': dim,
            'blocks': tuple(count(weights, rf'encoder\.{i}\.(\d+)\.') for i in range(levels)),
            'heads': tuple(len(weights[f'encoder.{i}.0.attn.temperature']) for i in range(levels)),
            'expansion': math.ceil(100 * hidden / (dim * 2 ** (levels - 1))) / 100,  # the width was rounded down
        }
        return {'arch': cls.name_arch(fields), 'in_channels': channels, 'experts': 'experts_in.gate1.weight' in weights}


OFFICIAL_NAMES = (
    (r'^patch_embed\.proj\.', 'conv_first.'),
    (r'^output\.', 'conv_last.'),
    (r'^encoder_level0\.', 'experts_in.'),
    (r'^refinement\.', 'experts_out.'),
    (r'^(encoder|decoder)_level(\d)\.', lambda match: f'{match[1]}.{int(match[2]) - 1}.'),
    (r'^latent\.', 'encoder.3.'),
    (r'^down(\d)_\d\.body\.0\.', lambda match: f'down.{int(match[1]) - 1}.'),
    (r'^up\d_(\d)\.body\.0\.', lambda match: f'up.{int(match[1]) - 1}.'),
    (r'^reduce_chan_level(\d)\.', lambda match: f'reduce.{int(match[1]) - 2}.'),
    (r'\.(norm\d)\.body\.', r'.\1.'),
    (r'\.qkv_dwconv\.', '.dwconv.'),
    (r'\.attn\.project_out\.', '.attn.proj.'),
    (r'\.ffn\.project_in\.', '.mlp.fc1.'),
    (r'\.ffn\.project_out\.', '.mlp.fc2.'),
    (r'\.ffn\.dwconv(\d)x\d\.', r'.mlp.dwconv\1.'),
    (r'\.ffn\.dwconv(\d)x\d_1\.', r'.mlp.pairs\1.'),
    (r'\.layers\.0\.ca_fc\.(\d)\.', lambda match: f'.gate{int(match[1]) // 2 + 1}.'),
    (r'\.layers\.1\.preprocess\.op\.0\.', '.proj.'),
    (r'\.layers\.1\._ops\.(\d+)\._out\.0\.', r'.steps.\1.merge.'),
    (r'\.layers\.1\._ops\.(\d+)\._ops\.([0-3])\.op\.0\.', r'.steps.\1.experts.\2.dw1.'),
    (r'\.layers\.1\._ops\.(\d+)\._ops\.([0-3])\.op\.1\.', r'.steps.\1.experts.\2.pw1.'),
    (r'\.layers\.1\._ops\.(\d+)\._ops\.([0-3])\.op\.3\.', r'.steps.\1.experts.\2.dw2.'),
    (r'\.layers\.1\._ops\.(\d+)\._ops\.([0-3])\.op\.4\.', r'.steps.\1.experts.\2.pw2.'),
    (r'\.layers\.1\._ops\.(\d+)\._ops\.([4-6])\.op\.0\.', r'.steps.\1.experts.\2.dw2.'),
    (r'\.layers\.1\._ops\.(\d+)\._ops\.([4-6])\.op\.1\.', r'.steps.\1.experts.\2.pw2.'),
)

DRSformer.archs = {'base': Arch(dim=48, blocks=(4, 6, 6, 8), heads=(1, 2, 4, 8), expansion=2.66)}
