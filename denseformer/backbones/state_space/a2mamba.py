"""A2Mamba: state spaces whose states are gathered by the attention that stands before them.

Paper: "A2Mamba: Attention-augmented State Space Models for Visual Recognition", https://arxiv.org/abs/2507.16624.
Official code: https://github.com/LMMMEng/A2Mamba (no licence), a classifier, whose raw maps are returned.

Half of the heads attend to a neighborhood, the other half to a dilated one, whose values are those of the first half
added to their own; the dilation grows with the map, up to the neighborhood's side. A scan of the outcome, row by row
with one state per channel, leaves a state at each position, and the same attention gathers these states from around
before they are read. So the order of the scan matters less. The last stage attends globally in place of the scan, under
a bias for all pairs of positions at the image size of ImageNet training, which is resized as an image.

Maps with a side shorter than a neighborhood, which the authors' code refuses, are continued by their last row or
column.

Legend: B batch, H W map, L = H * W tokens, C channels, h heads, d head width.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.neighborhood import unchecked_attention
from denseformer.attention.rotary import axial_rotation, rotate
from denseformer.attention.selective_scan import selective_scan
from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.caching import CachesInEval
from denseformer.checkpoints.keys import (
    StateDict,
    drop,
    linear_from_pointwise,
    linear_mlps_from_pointwise,
    rename,
    strip_classifier,
)
from denseformer.dynamic_shapes import same_size
from denseformer.layers import ConvBatchNormDownsample, ConvMlp, ConvNorm, DepthwiseConv, DropPath, drop_path_rates
from denseformer.layers.channel_first import to_channels_last
from denseformer.layers.initializers import narrow
from denseformer.layers.linear import Pointwise
from denseformer.layers.state_space import SelectiveScan
from denseformer.network import Source
from denseformer.registry import MODELS

TRAINED_SIDE = 7
"""Side of the last stage's maps while the published models were trained, in positions."""
LayerNorm = partial(nn.LayerNorm, eps=1e-6)


class TwoReaches(nn.Module):
    """Attention to a neighborhood for half of the heads, and to a dilated one for the other half.

    forward(q, k, v, cascade=False) -> like v: each (B, H, W, h, d); cascade: add the first half's outcome to the
    second half's values.
    """

    def __init__(self, heads: int, kernel_size: int):
        super().__init__()
        self.kernel_size = kernel_size
        self.rpb = nn.Parameter(torch.zeros(heads // 2, 2 * kernel_size - 1, 2 * kernel_size - 1))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, cascade: bool = False) -> Tensor:
        (near_q, far_q), (near_k, far_k), (near_v, far_v) = (x.chunk(2, 3) for x in (q, k, v))
        near = self.attend(near_q, near_k, near_v, [1, 1])
        far = self.attend(far_q, far_k, far_v + near if cascade else far_v, [self.dilation(L) for L in q.shape[1:3]])
        return torch.cat([near, far], 3)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, dilation: list[int]) -> Tensor:
        return unchecked_attention(q, k, v.to(q.dtype), self.rpb, self.kernel_size, dilation, q.shape[-1] ** -0.5)

    def dilation(self, side: int) -> int:
        """As large as fits the neighborhood into a side of the map, but no larger than the neighborhood's."""
        return torch.sym_max(1, torch.sym_min(side // self.kernel_size, self.kernel_size))


class GatheredScan(nn.Module):
    """A scan whose states are gathered from around before they are read: (B, H, W, C) -> the same.

    `gather` maps states (B, H, W, h, d) to the same.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.conv = DepthwiseConv(dim, 5)
        self.scan = SelectiveScan(dim, 1, -(-dim // 16))
        self.fusion = Pointwise(heads, heads)

    def forward(self, x: Tensor, gather: Callable[[Tensor], Tensor]) -> Tensor:
        tokens = F.silu(self.conv(x)).flatten(1, 2)  # (B, L, C)
        delta, entry, readout = self.scan.project(tokens)  # the last two (B, L, 1), of the one state per channel
        entry = entry[:, :, None]
        rates, bias = -self.scan.A_log.exp(), self.scan.dt_bias
        states = selective_scan(tokens, delta, rates, entry, torch.ones_like(entry), delta_bias=bias)
        states = gather(states.view(x.shape).unflatten(-1, (self.heads, -1)))  # (B, H, W, h, d)
        states = self.fusion(states.transpose(3, 4)).transpose(3, 4).reshape(tokens.shape)
        return (states.to(self.scan.D) * readout + tokens * self.scan.D).view(x.shape)


class Mixer(nn.Module):
    """Attention of two reaches, what augments it, then position encoding, gate and projection.

    Shape: (B, H, W, C) -> the same. Behind the gate all has the precision of the weights, autocast or not.
    """

    def __init__(self, dim: int, heads: int, kernel_size: int):
        super().__init__()
        self.heads = heads
        self.qkv = Pointwise(dim, 3 * dim)
        self.reaches = TwoReaches(heads, kernel_size)
        self.gate = ConvNorm(dim, dim, bias=True, act=nn.SiLU)
        self.pos_embed = DepthwiseConv(dim, 5)
        self.norm = LayerNorm(dim)
        self.proj_norm = LayerNorm(dim)
        self.proj = Pointwise(dim, dim)

    def augment(self, x: Tensor, q: Tensor, k: Tensor) -> Tensor:
        """The outcome of attention (B, H, W, C), with its queries and keys (B, H, W, h, d) -> like x."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H, W, C)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(3)  # each (B, H, W, h, d)
        rotation = axial_rotation(tuple(x.shape[1:3]), q.shape[-1], x.device)
        q, k = rotate(q, rotation), rotate(k, rotation)
        mixed = self.augment(self.reaches(q, k, v, cascade=True).flatten(3), q, k)
        mixed = self.norm(mixed) + self.pos_embed(v.flatten(3))
        wide = self.proj_norm.weight.dtype
        with torch.autocast(x.device.type, enabled=False):
            return self.proj(self.proj_norm(mixed.to(wide) * gate.to(wide)))


class ScanMixer(Mixer):
    """A scan augments attention, gathered by it."""

    def __init__(self, dim: int, heads: int, kernel_size: int):
        super().__init__(dim, heads, kernel_size)
        self.scan = GatheredScan(dim, heads)

    def augment(self, x: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.scan(x, lambda states: self.reaches(q, k, states))


class GlobalMixer(Mixer):
    """Attention of all positions to all, of the same queries and keys, augments that of two reaches."""

    def __init__(self, dim: int, heads: int, kernel_size: int):
        super().__init__(dim, heads, kernel_size)
        self.bias = PairBias(heads)

    def augment(self, x: Tensor, q: Tensor, k: Tensor) -> Tensor:
        values = x.unflatten(-1, (self.heads, -1)).to(q.dtype)
        q, k, v = (part.flatten(1, 2).transpose(1, 2) for part in (q, k, values))  # (B, h, L, d)
        return window_softmax_attention(q, k, v, self.bias(q.shape[2], q.dtype)).view(x.shape)


class PairBias(CachesInEval):
    """A bias of all pairs of positions, resized as an image from its table: forward(L, dtype) -> (1, h, L, L)."""

    def __init__(self, heads: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, heads, TRAINED_SIDE**2, TRAINED_SIDE**2))

    def forward(self, tokens: int, dtype: torch.dtype) -> Tensor:
        return self.cached((tokens, dtype), lambda: self.resized(tokens).to(dtype))

    def resized(self, tokens: int) -> Tensor:
        if same_size(self.table.shape[2:], (tokens, tokens)):
            return self.table
        return F.interpolate(self.table, (tokens, tokens), mode='bicubic', align_corners=False)


class Scale(nn.Module):
    """A gain and an offset per channel: (.., C) -> the same."""

    def __init__(self, dim: int, start: float):
        super().__init__()
        self.weight = nn.Parameter(torch.full((dim,), start))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, x, self.weight)


class Block(nn.Module):
    """Position encoding, token mixer, position encoding, MLP, all residual: (B, H, W, C) -> the same.

    scaled: whether nothing, the 'branch'es or the 'input's to the last sum of each are scaled, from `start` on.
    """

    def __init__(
        self, dim: int, attn: nn.Module, mlp: nn.Module, *, scaled: str | None, start: float, drop_path: float
    ):
        super().__init__()
        self.scaled = scaled
        self.pos_embed, self.pos_embed2 = DepthwiseConv(dim), DepthwiseConv(dim)
        self.norm1, self.norm2 = LayerNorm(dim), LayerNorm(dim)
        self.attn, self.mlp = attn, mlp
        self.scale1, self.scale2 = (Scale(dim, start) if scaled else nn.Identity() for _ in range(2))
        self.drop_path = DropPath(drop_path)

    def add(self, x: Tensor, branch: Tensor, scale: nn.Module) -> Tensor:
        if self.scaled == 'input':
            return scale(x) + self.drop_path(branch)
        return x + self.drop_path(scale(branch))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        x = self.add(x, self.attn(self.norm1(x)), self.scale1)
        x = x + self.pos_embed2(x)
        return self.add(x, self.mlp(self.norm2(x)), self.scale2)


class Stem(nn.Module):
    """Four convolutions, two of them strided: (B, in_channels, H, W) -> (B, ceil(H/4), ceil(W/4), dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        half = dim // 2
        self.convs = nn.Sequential(
            ConvNorm(in_channels, half, 3, 2, act=nn.GELU),
            ConvNorm(half, half, 3, act=nn.GELU),
            ConvNorm(half, dim, 3, 2, act=nn.GELU),
            ConvNorm(dim, dim, 3),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.convs(to_channels_last(image)).permute(0, 2, 3, 1)  # (B, ceil(H/4), ceil(W/4), dim)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """kernels: sides of the neighborhoods; scaled: what each stage's blocks scale, see `Block`; starts: from where."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratios: tuple[float, ...] = (4, 4, 3, 3)
    kernels: tuple[int, ...] = (11, 9, 7, 7)
    scaled: tuple[str | None, ...] = (None, None, None, None)
    starts: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)


@MODELS.register_module()
class A2Mamba(Backbone):
    """A2Mamba."""

    source = Source(
        paper='A2Mamba: Attention-augmented State Space Models for Visual Recognition, '
        'https://arxiv.org/abs/2507.16624',
        code='https://github.com/LMMMEng/A2Mamba',
        license='none stated',
    )
    initial_weights = staticmethod(narrow)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'nano',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = ConvBatchNormDownsample(widths[i - 1], widths[i], bias=False) if i else None
            stages.append(Stage([self._block(i, rate) for rate in rates], downsample))
        self.assemble(patch_embed=Stem(self.in_channels, widths[0]), stages=stages)

    def _block(self, stage: int, drop_path: float) -> nn.Module:
        arch, dim = self.arch, self.arch.widths[stage]
        mixer = GlobalMixer if stage == len(arch.widths) - 1 else ScanMixer
        return Block(
            dim,
            mixer(dim, arch.heads[stage], arch.kernels[stage]),
            ConvMlp(dim, int(arch.mlp_ratios[stage] * dim), residual=True),
            scaled=arch.scaled[stage],
            start=arch.starts[stage],
            drop_path=drop_path,
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'A2Mamba') -> StateDict:
        """From `layers.i`, stages at even numbers and what leads to the next at odd ones.

        The authors' two biases of neighborhoods are one parameter under two names.
        """
        renamed = rename(
            drop(
                strip_classifier(state_dict, official=r'^layers\.', classifier=(r'^classifier\.',)),
                r'\.rope\.angle$',
                r'\.token_mixer\.rpb\.0$',
            ),
            (r'^patch_embed\.([0369])\.', lambda match: f'patch_embed.convs.{int(match[1]) // 3}.conv.'),
            (r'^patch_embed\.(\d+)\.', lambda match: f'patch_embed.convs.{int(match[1]) // 3}.norm.'),
            (r'^layers\.([135])\.0\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.reduction.'),
            (r'^layers\.([135])\.1\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.norm.'),
            (r'^layers\.(\d)\.', lambda match: f'stages.{int(match[1]) // 2}.'),
            (r'\.cpe1\.', '.pos_embed.'),
            (r'\.cpe2\.', '.pos_embed2.'),
            (r'\.layer_scale([12])\.', r'.scale\1.'),
            (r'\.token_mixer\.gate\.0\.', '.attn.gate.conv.'),
            (r'\.token_mixer\.gate\.1\.', '.attn.gate.norm.'),
            (r'\.token_mixer\.lepe\.', '.attn.pos_embed.'),
            (r'\.token_mixer\.proj\.0\.', '.attn.proj_norm.'),
            (r'\.token_mixer\.proj\.1\.', '.attn.proj.'),
            (r'\.token_mixer\.rpb\.1$', '.attn.reaches.rpb'),
            (r'\.token_mixer\.rpb\.2$', '.attn.bias.table'),
            (r'\.token_mixer\.', '.attn.'),
            (r'\.ssm\.conv2d\.', '.scan.conv.'),
            (r'\.ssm\.state_fusion\.', '.scan.fusion.'),
            (r'\.ssm\.x_proj_weight$', '.scan.scan.x_proj'),
            (r'\.ssm\.dt_projs_weight$', '.scan.scan.dt_proj'),
            (r'\.ssm\.dt_projs_bias$', '.scan.scan.dt_bias'),
            (r'\.ssm\.A_logs$', '.scan.scan.A_log'),
            (r'\.ssm\.Ds$', '.scan.scan.D'),
        )
        renamed |= {key: value.flatten() for key, value in renamed.items() if re.search(r'\.scale[12]\.weight$', key)}
        return linear_mlps_from_pointwise(linear_from_pointwise(renamed, r'\.(attn\.(qkv|proj)|fusion)\.weight$'))


A2Mamba.archs = {
    'nano': Arch(widths=(32, 64, 128, 192), depths=(2, 2, 8, 2), heads=(2, 2, 4, 8)),
    'tiny': Arch(widths=(48, 96, 256, 448), depths=(2, 2, 10, 2), heads=(2, 4, 8, 16)),
    'small': Arch(
        widths=(64, 128, 320, 512),
        depths=(2, 4, 12, 4),
        heads=(2, 4, 10, 16),
        scaled=(None, None, 'input', 'input'),
    ),
    'base': Arch(
        widths=(96, 192, 384, 512),
        depths=(4, 6, 12, 6),
        heads=(4, 8, 12, 16),
        mlp_ratios=(4, 4, 3.75, 3.75),
        scaled=('branch',) * 4,
        starts=(1.0, 1.0, 1e-6, 1e-6),
    ),
    'large': Arch(
        widths=(96, 192, 448, 672),
        depths=(4, 6, 18, 6),
        heads=(4, 8, 16, 24),
        mlp_ratios=(4, 4, 4, 4),
        scaled=('branch',) * 4,
        starts=(1.0, 1.0, 1e-6, 1e-6),
    ),
}
