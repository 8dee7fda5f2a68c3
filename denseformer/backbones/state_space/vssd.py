"""VSSD: Vision Mamba with Non-Causal State Space Duality.

Paper: "VSSD: Vision Mamba with Non-Causal State Space Duality", https://arxiv.org/abs/2407.18559.
Official code: https://github.com/YuHengsss/VSSD (no licence).

Mamba-2's mixer without an order of tokens: each enters the one state with a weight of its own, and all read that state.
Nothing is scanned; what is left is linear attention whose keys and queries are shared by all heads, not normalised by
the sum of its weights but by a LayerNorm behind. The last stage attends with softmax. Two depth-wise convolutions per
block encode positions. The gate is multiplied as it is, without an activation.

Legend: B batch, H W map, C channels, L = H * W tokens, h heads, N states.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.state_space_duality import state_space_duality
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, stages_from, strip_classifier
from denseformer.layers import ConvNorm, DepthwiseConv, Mlp, PreNormBlock, drop_path_rates
from denseformer.layers.channel_first import to_channels_last
from denseformer.layers.linear import Linear
from denseformer.layers.self_attention import GlobalAttention
from denseformer.layers.state_space import step_bias
from denseformer.network import Source
from denseformer.registry import MODELS


class DualityMixer(nn.Module):
    """Mamba-2's token mixer, of tokens without an order: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, states: int):
        super().__init__()
        inner = 2 * dim
        self.heads, self.states = heads, states
        self.widths = inner, inner + 2 * states, heads
        self.in_proj = Linear(dim, sum(self.widths), bias=False)
        self.conv = DepthwiseConv(inner + 2 * states)
        self.dt_bias = nn.Parameter(torch.empty(heads))
        self.A_log = nn.Parameter(torch.empty(heads))
        self.D = nn.Parameter(torch.ones(heads))
        if not self.D.is_meta:
            self.reset()
        self.norm = nn.LayerNorm(inner)
        self.out_proj = Linear(inner, dim, bias=False)

    @torch.no_grad()
    def reset(self) -> None:
        """Draw the first step sizes and rates."""
        self.dt_bias.copy_(step_bias(self.heads))
        self.A_log.uniform_(1, 16).log_()

    def forward(self, x: Tensor) -> Tensor:
        gate, mixed, dt = self.in_proj(x).split(self.widths, -1)
        mixed = F.silu(self.conv(mixed)).flatten(1, 2)  # (B, L, C' + 2N)
        values, keys, queries = mixed.split((self.widths[0], self.states, self.states), -1)
        dt = F.softplus(dt.flatten(1, 2) + self.dt_bias)  # (B, L, h)
        y = state_space_duality(
            values.unflatten(-1, (self.heads, -1)),
            dt,
            -self.A_log.exp(),
            keys[:, :, None],
            queries[:, :, None],
            self.D,
            causal=False,
        )
        return self.out_proj(self.norm(y.flatten(2)).view_as(gate) * gate)


class Block(PreNormBlock):
    """Position encoding, token mixer, position encoding, MLP: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, attn: nn.Module, drop_path: float):
        super().__init__(dim, attn, Mlp(dim, 4 * dim), drop_path=drop_path, pos_embed=DepthwiseConv(dim))
        self.pos_embed2 = DepthwiseConv(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encode_position(x)
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.pos_embed2(x)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Stem(nn.Module):
    """Convolutions with a residual pair in the middle: (B, in_channels, H, W) -> (B, ceil(H/4), ceil(W/4), dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        half = dim // 2
        self.conv1 = ConvNorm(in_channels, half, 3, 2, act=nn.ReLU)
        self.conv2 = nn.Sequential(ConvNorm(half, half, 3, act=nn.ReLU), ConvNorm(half, half, 3))
        self.conv3 = nn.Sequential(ConvNorm(half, 4 * dim, 3, 2, act=nn.ReLU), ConvNorm(4 * dim, dim))

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv1(to_channels_last(image))
        x = self.conv3(self.conv2(x) + x)
        return x.permute(0, 2, 3, 1)  # (B, ceil(H/4), ceil(W/4), dim)


class Downsample(nn.Module):
    """A strided inverted bottleneck: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), out_dim)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        hidden = 4 * out_dim
        self.expand = nn.Conv2d(dim, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, 2, 1, groups=hidden)
        self.reduce = nn.Conv2d(hidden, out_dim, 1)
        self.norm = nn.BatchNorm2d(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.expand(x.permute(0, 3, 1, 2)).relu()
        x = self.norm(self.reduce(self.depthwise(x).relu()))
        return x.permute(0, 2, 3, 1)  # (B, ceil(H/2), ceil(W/2), out_dim)


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """states: numbers that each channel keeps in the common state, N."""

    heads: tuple[int, ...]
    states: int = 64


@MODELS.register_module()
class VSSD(Backbone):
    """VSSD."""

    source = Source(
        paper='VSSD: Vision Mamba with Non-Causal State Space Duality, https://arxiv.org/abs/2407.18559',
        code='https://github.com/YuHengsss/VSSD',
        license='none stated',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'micro',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = Downsample(widths[i - 1], widths[i]) if i else None
            stages.append(Stage([Block(widths[i], self._mixer(i), rate) for rate in rates], downsample))
        self.assemble(
            patch_embed=Stem(self.in_channels, widths[0]),
            stages=stages,
            out_norms=[nn.LayerNorm(width) for width in widths],
        )

    def _mixer(self, stage: int) -> nn.Module:
        dim, heads = self.arch.widths[stage], self.arch.heads[stage]
        if stage == len(self.arch.widths) - 1:
            return GlobalAttention(dim, heads, qkv_bias=False)
        return DualityMixer(dim, heads, self.arch.states)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'VSSD') -> StateDict:
        """From `layers.i`, where the downsampling closes the stage before."""
        return rename(
            strip_classifier(state_dict, official=r'^layers\.'),
            *stages_from('layers'),
            (r'^outnorm(\d)\.', r'out_norms.\1.'),
            (r'\.downsample\.conv\.0\.conv\.', '.downsample.expand.'),
            (r'\.downsample\.conv\.1\.conv\.', '.downsample.depthwise.'),
            (r'\.downsample\.conv\.2\.conv\.', '.downsample.reduce.'),
            (r'\.downsample\.conv\.2\.norm\.', '.downsample.norm.'),
            (r'\.cpe1\.', '.pos_embed.'),
            (r'\.cpe2\.', '.pos_embed2.'),
            (r'\.attn\.conv2d\.', '.attn.conv.'),
            (r'\.attn\.to_qkv\.', '.attn.qkv.'),
            (r'\.attn\.to_out\.', '.attn.proj.'),
        )


NARROW_HEADS = (2, 4, 8, 16)

VSSD.archs = {
    'micro': Arch(width=48, depths=(2, 2, 8, 4), heads=NARROW_HEADS, states=48),
    'tiny': Arch(width=64, depths=(2, 4, 8, 4), heads=NARROW_HEADS),
    'small': Arch(width=64, depths=(3, 4, 21, 5), heads=NARROW_HEADS),
    'base': Arch(width=96, depths=(3, 4, 21, 5), heads=(3, 6, 12, 24)),
}
