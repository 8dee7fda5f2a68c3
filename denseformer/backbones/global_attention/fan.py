"""FAN: fully attentional networks, which attend to channels in the MLP's place, and what makes them robuster still.

Papers: "Understanding The Robustness in Vision Transformers", https://arxiv.org/abs/2204.12451; "Robustifying Token
Attention for Vision Transformers", https://arxiv.org/abs/2303.11126.
Official code: https://github.com/NVlabs/FAN (NVIDIA Source Code License-NC, code and weights),
https://github.com/guoyongcs/TAPADL (MIT).

A block is softmax attention of all tokens, then a convolutional MLP whose output channels are scaled by gains in (0, 1)
that compare each channel's spread over the image with that of the whole head. The hybrid networks begin with two stages
of ConvNeXt, the others with four convolutions. Behind the blocks the authors' class attention follows. It reads the
patches and never writes to them: all that is left of it in a dense network are the norms that it puts them through.

Token-aware average pooling mixes each token with the means of its neighborhoods before it attends, by weights that it
predicts. The diversification loss keeps rows of attention matrices from being alike.

Positions are sines of the place in the map, relative to the map's size. Their frequencies fall from channel to channel,
where those of XCiT, from which the code comes, fall from pair to pair. The LayerNorms of ConvNeXt's stages take the
unbiased variance, to which the authors' code comes in the memory format that its maps have. What does not fill a patch
of the hybrid networks is left out.

Legend: B batch, H W map, C channels, h heads, d head width, N = H * W.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones.base import Backbone, BackboneOptions, Stage, StageWithLosses
from denseformer.backbones.convolution import convnext
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, drop, linear_from_pointwise, rename
from denseformer.layers import (
    ConvNormStem,
    DepthwiseConv2d,
    DropPath,
    Linear,
    NormedPatchDownsample,
    PatchEmbed,
    Pointwise,
    make_layer_scale,
)
from denseformer.layers.initializers import fan_out, narrow
from denseformer.network import Source
from denseformer.precision import at_least_float32
from denseformer.registry import MODELS

DILATIONS = (1, 2, 3)
CLASS_BLOCKS = 2
WAVES = 32
"""How many channels of positions rows and columns have each."""
ALIKE = 2
"""How many times the mean a token must be attended to, to count in the diversification loss."""
DOWNSAMPLED = 768
"""Channels of the last map where it is downsampled."""
norm = partial(nn.LayerNorm, eps=1e-6)


@cached_constant(32)
def waves(size: tuple[int, int], device: torch.device) -> Tensor:
    """(H, W, 2 * WAVES): sines and cosines of the row, then of the column, both counted as parts of a full turn."""
    frequency = 10000 ** (-torch.arange(WAVES, dtype=torch.float32, device=device) / WAVES)
    rows, columns = (
        torch.arange(1, side + 1, dtype=torch.float32, device=device)[:, None] / (side + 1e-6) * 2 * math.pi * frequency
        for side in size
    )
    rows, columns = (torch.stack([x[:, ::2].sin(), x[:, 1::2].cos()], -1).flatten(1) for x in (rows, columns))
    return torch.cat([rows[:, None].expand(-1, size[1], -1), columns.expand(size[0], -1, -1)], -1)


class Positions(nn.Module):
    """Adds a projection of the `waves` of a map's size: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = Pointwise(2 * WAVES, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj(waves((x.shape[1], x.shape[2]), x.device).to(x.dtype))


class PositionedPatches(nn.Module):
    """2 x 2 neighbors to one token with its position: (B, H, W, C) -> (B, H // 2, W // 2, out_dim)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.proj = nn.Conv2d(dim, out_dim, 2, 2)
        self.positions = Positions(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.positions(self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


def neighborhood_mean(x: Tensor, dilation: int) -> Tensor:
    """The mean of 3 x 3 positions that lie `dilation` apart, zeros beyond the map: (B, H, W, C) -> the same."""
    d = dilation
    H, W = x.shape[1:3]
    x = F.pad(x, (0, 0, d, d, d, d))
    x = x[:, :H] + x[:, d : H + d] + x[:, 2 * d :]
    return (x[:, :, :W] + x[:, :, d : W + d] + x[:, :, 2 * d :]) / 9


class TokenAwarePooling(nn.Module):
    """Each token and the means of its neighborhoods, by weights it predicts: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        scales = 1 + len(DILATIONS)
        self.predict = nn.Sequential(
            nn.Conv2d(dim, scales, 3, padding=1, bias=False),
            nn.BatchNorm2d(scales),
            nn.Conv2d(scales, scales, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = self.predict(x.permute(0, 3, 1, 2)).softmax(1).permute(0, 2, 3, 1)  # (B, H, W, scales)
        mixed = x * weights[..., :1]
        for i, dilation in enumerate(DILATIONS, 1):
            mixed = mixed + neighborhood_mean(x, dilation) * weights[..., i : i + 1]
        return mixed


def diversification_loss(attention: Tensor, threshold: float = ALIKE) -> Tensor:
    """How alike the rows of attention matrices are: the mean cosine of a row and the mean row, over heads' means.

    Entries of at most `threshold` times the mean entry count as zero. attention: (B, h, N, M) -> a scalar in [0, 1].
    """
    rows = attention.mean(1)  # (B, N, M)
    mean = rows.mean(1, keepdim=True)
    least = threshold / rows.shape[-1]
    rows, mean = (torch.where(x > least, x, 0) for x in (rows, mean))
    return F.cosine_similarity(mean, rows, dim=-1).mean()


class TokenAttention(nn.Module):
    """Softmax attention of all tokens: (B, H, W, C) -> the same, and the diversification loss if `with_loss`."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = Linear(dim, dim)
        self.kv = Linear(dim, 2 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, with_loss: bool) -> tuple[Tensor, Tensor | None]:
        q = self.q(x).flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, h, N, d)
        k, v = self.kv(x).flatten(1, 2).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if not with_loss:
            return self.proj(window_softmax_attention(q, k, v).view_as(x)), None
        attention = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1)
        out = (attention @ v).transpose(1, 2).reshape(x.shape)
        return self.proj(out), diversification_loss(at_least_float32(attention))


class ResidualConvMlp(nn.Module):
    """Linear, convolutions added with a gain, Linear, and no activation besides theirs: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.convs = nn.Sequential(DepthwiseConv2d(hidden), nn.GELU(), nn.BatchNorm2d(hidden), DepthwiseConv2d(hidden))
        self.gamma = nn.Parameter(torch.ones(hidden))
        self.fc2 = Linear(hidden, dim)
        self.convs.apply(fan_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        return self.fc2(x + self.gamma * self.convs(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class ChannelAttention(nn.Module):
    """An MLP whose output channels are scaled by their attention: (B, H, W, C) -> the same.

    A channel's gain is the sigmoid of the product of two distributions over the tokens, the channel's own (of queries)
    and the mean one of its head (of the input), times a temperature.
    """

    def __init__(self, dim: int, hidden: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = Linear(dim, dim)
        self.temperature = nn.Parameter(torch.ones(heads, 1))
        self.mlp = ResidualConvMlp(dim, hidden)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k = (y.flatten(1, 2).softmax(1).unflatten(2, (self.heads, -1)) for y in (self.q(x), x))  # (B, N, h, d)
        gain = (q * k.mean(-1, keepdim=True)).sum(1).sigmoid() * self.temperature  # (B, h, d)
        return self.norm(self.mlp(x)) * gain.flatten(1)[:, None, None]


class UnbiasedLayerNorm(nn.LayerNorm):
    """LayerNorm by the unbiased variance of C channels, that of C - 1 degrees of freedom: (..., C) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        share = 1 - 1 / x.shape[-1]
        return F.layer_norm(x, self.normalized_shape, self.weight * share**0.5, self.bias, self.eps * share)


class UnbiasedDownsample(NormedPatchDownsample):
    """ConvNeXt's downsampling with an `UnbiasedLayerNorm`: (B, H, W, C) -> (B, H // 2, W // 2, out_dim)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__(dim, out_dim)
        self.norm = UnbiasedLayerNorm(dim, convnext.EPS)


class Block(nn.Module):
    """Attention of tokens, then of channels: (B, H, W, C) -> the same, and the diversification loss or None."""

    def __init__(self, dim: int, heads: int, *, pooling: bool, with_loss: bool, drop_path: float):
        super().__init__()
        self.with_loss = with_loss
        self.pool = TokenAwarePooling(dim) if pooling else nn.Identity()
        self.norm1 = norm(dim)
        self.attn = TokenAttention(dim, heads)
        self.gamma1 = make_layer_scale(dim, 1.0)
        self.norm2 = norm(dim)
        self.mlp = ChannelAttention(dim, 4 * dim, heads)
        self.gamma2 = make_layer_scale(dim, 1.0)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        attended, loss = self.attn(self.norm1(self.pool(x)), self.with_loss and self.training)
        x = x + self.drop_path(self.gamma1 * attended)
        return x + self.drop_path(self.gamma2 * self.mlp(self.norm2(x))), loss


class ClassBlock(nn.Module):
    """The part of a block of class attention that changes patches: (B, H, W, C) -> the same, and no loss."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm1 = norm(dim)
        self.gamma1 = make_layer_scale(dim, 1.0)
        self.norm2 = norm(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return 2 * self.norm2(x + self.gamma1 * self.norm1(x)), None


class ConvPatches(nn.Module):
    """Four convolutions to tokens with their positions: (B, C, H, W) -> (B, ceil(H/16), ceil(W/16), dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.proj = ConvNormStem(in_channels, (dim // 8, dim // 4, dim // 2, dim), nn.GELU)
        self.positions = Positions(dim)

    def forward(self, image: Tensor) -> Tensor:
        return self.positions(self.proj(image).permute(0, 2, 3, 1))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """stem: widths of ConvNeXt's stages, none for four convolutions in their place.

    depths: blocks up to each map, those of ConvNeXt included; class attention follows the last ones.
    """

    width: int
    heads: int
    depths: tuple[int, ...]
    stem: tuple[int, ...] = (128, 256)

    @property
    def widths(self) -> tuple[int, ...]:
        return *self.stem, *[self.width] * (len(self.depths) - len(self.stem))


@MODELS.register_module()
class FAN(Backbone):
    """Fully attentional network; maps have strides 4, 8, 16 and 16, or 16 all four without ConvNeXt's stages.

    Args:
        token_average_pooling: mix tokens with their neighborhoods before they attend.
        attention_diversification: what `auxiliary_losses` multiplies the mean diversification loss by; the authors' is
            1. At 0 it is not computed.
        feat_downsample: a convolution to 768 channels at stride 32 behind the last map, as in the authors' detectors;
            for hybrid networks.
        drop_path_rate: stochastic depth of all blocks alike; ConvNeXt's have none.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='Understanding The Robustness in Vision Transformers, https://arxiv.org/abs/2204.12451',
        code='https://github.com/NVlabs/FAN',
        license='NVIDIA Source Code License-NC',
    )
    strides = (4, 8, 16, 16)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny_hybrid',
        token_average_pooling: bool = False,
        attention_diversification: float = 0.0,
        feat_downsample: bool = False,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        arch = self.arch
        self.attention_diversification = attention_diversification
        block = partial(
            Block,
            arch.width,
            arch.heads,
            pooling=token_average_pooling,
            with_loss=attention_diversification > 0,
            drop_path=drop_path_rate,
        )
        tokens: list[list[nn.Module]] = [[block() for _ in range(depth)] for depth in arch.depths[len(arch.stem) :]]
        tokens[-1] += [ClassBlock(arch.width) for _ in range(CLASS_BLOCKS)]
        first = PositionedPatches(arch.stem[-1], arch.width) if arch.stem else None
        columns = [StageWithLosses(blocks, None if i else first) for i, blocks in enumerate(tokens)]
        self.assemble(
            patch_embed=self._patch_embed(),
            stages=[*self._convnext_stages(), *columns],
        )
        self.out_downsample: nn.Module | None = None
        if feat_downsample:
            if not arch.stem or self.out_indices[-1] != len(arch.widths) - 1:
                raise ValueError('feat_downsample is for the last map of a hybrid network, in out_indices.')
            self.out_channels = (*self.out_channels[:-1], DOWNSAMPLED)
            self.out_downsample = nn.Conv2d(arch.width, DOWNSAMPLED, 3, 2, 1)

    def _patch_embed(self) -> nn.Module:
        if not self.arch.stem:
            return ConvPatches(self.in_channels, self.arch.width)
        embed = PatchEmbed(self.in_channels, self.arch.stem[0], pad=False, eps=convnext.EPS)
        return embed.apply(narrow)

    def _convnext_stages(self) -> Iterable[Stage]:
        unbiased = partial(UnbiasedLayerNorm, eps=convnext.EPS)
        for i, (width, depth) in enumerate(zip(self.arch.stem, self.arch.depths, strict=False)):
            blocks = [convnext.Block(width, drop_path=0.0, layer_scale=1e-6, norm=unbiased) for _ in range(depth)]
            downsample = UnbiasedDownsample(self.arch.stem[i - 1], width) if i else None
            yield Stage(blocks, downsample).apply(narrow)

    @property
    def out_strides(self) -> tuple[int, ...]:
        strides = [self.strides[i] if self.arch.stem else 16 for i in self.out_indices]
        return tuple(strides if self.out_downsample is None else [*strides[:-1], 2 * strides[-1]])

    def run_stages(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = super().run_stages(x)
        return maps if self.out_downsample is None else (*maps[:-1], self.out_downsample(maps[-1]))

    def auxiliary_losses(self) -> dict[str, Tensor]:
        """The weighted mean diversification loss of the last training forward pass, once.

        `AuxiliaryLossHook` adds it to the losses of the model that the backbone is part of. Empty unless
        `attention_diversification` is positive.
        """
        losses = [loss for stage in self.stages if isinstance(stage, StageWithLosses) for loss in stage.collect()]
        weight = self.attention_diversification
        return {'loss_diversification': weight * torch.stack(losses).mean()} if losses else {}

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'FAN') -> StateDict:
        """From `blocks.i`, counted through, ConvNeXt's under `patch_embed.backbone`, and `cls_attn_blocks.i`."""
        if not any(key.startswith('pos_embed') for key in state_dict):  # our own names
            return state_dict
        stem, depths = len(network.arch.stem), network.arch.depths[len(network.arch.stem) :]
        first = [sum(depths[:i]) for i in range(len(depths))]
        last = f'stages.{stem + len(depths) - 1}.blocks.'

        def block(match: re.Match) -> str:
            stage = max(i for i, start in enumerate(first) if start <= int(match[1]) and depths[i])
            return f'stages.{stage + stem}.blocks.{int(match[1]) - first[stage]}.'

        def stem_layer(match: re.Match) -> str:
            return f'patch_embed.proj.{int(match[1]) // 2}.{("conv", "norm")[int(match[2])]}.'

        tokens = f'stages.{stem}.downsample.' if stem else 'patch_embed.'
        state_dict = rename(
            drop(state_dict, r'^cls_token$', r'^cls_attn_blocks\.\d+\.(attn|mlp|gamma2)', r'^norm\.', r'^head\.'),
            (r'^cls_attn_blocks\.(\d+)\.', lambda match: f'{last}{int(match[1]) + depths[-1]}.'),
            (r'^blocks\.(\d+)\.', block),
            (r'^patch_embed\.proj\.(\d)\.(\d)\.', stem_layer),
            (r'^patch_embed\.proj\.(weight|bias)$', rf'{tokens}proj.\1'),
            (r'^pos_embed(?:er)?\.token_projection\.', f'{tokens}positions.proj.'),
            (r'^learnable_downsample\.', 'out_downsample.'),
            (r'^patch_embed\.backbone\.stem\.0\.', 'patch_embed.proj.'),
            (r'^patch_embed\.backbone\.stem\.1\.', 'patch_embed.norm.'),
            (r'^patch_embed\.backbone\.(stages\.\d\.blocks\.\d+)\.norm\.', r'\1.norm2.'),
            (r'^patch_embed\.backbone\.', ''),
            (r'\.downsample\.0\.', '.downsample.norm.'),
            (r'\.downsample\.1\.', '.downsample.reduction.'),
            (r'\.conv_dw\.', '.attn.'),
            (r'\.mlp_v\.dwconv\.conv1\.', '.mlp.convs.0.'),
            (r'\.mlp_v\.dwconv\.bn\.', '.mlp.convs.2.'),
            (r'\.mlp_v\.dwconv\.conv2\.', '.mlp.convs.3.'),
            (r'\.mlp_v\.', '.mlp.'),
            (r'\.norm_v\.', '.norm.'),
            (r'\.dilation_predictor\.proj\.', '.pool.predict.'),
        )
        state_dict = linear_from_pointwise(state_dict, r'\.mlp\.fc[12]\.weight$|\.positions\.proj\.weight$')
        return {key: value.flatten(1) if key.endswith('.temperature') else value for key, value in state_dict.items()}


FAN.archs = {
    'tiny': Arch(width=192, heads=4, depths=(5, 3, 4, 0), stem=()),
    'small': Arch(width=384, heads=8, depths=(5, 3, 4, 0), stem=()),
    'base': Arch(width=448, heads=8, depths=(5, 3, 4, 6), stem=()),
    'large': Arch(width=480, heads=10, depths=(5, 3, 4, 12), stem=()),
    'tiny_hybrid': Arch(width=192, heads=8, depths=(3, 3, 8, 0)),
    'small_hybrid': Arch(width=384, heads=8, depths=(3, 3, 10, 0)),
    'base_hybrid': Arch(width=448, heads=8, depths=(3, 3, 16, 0)),
    'large_hybrid': Arch(width=480, heads=10, depths=(3, 5, 19, 3)),
}
