"""CATANet: Efficient Content-Aware Token Aggregation for Lightweight Image Super-Resolution.

Paper: https://arxiv.org/abs/2503.06896. Official code: https://github.com/EquationWalker/CATANet (Apache-2.0).

Tokens are sorted by the learned centre they resemble most, so that attention inside short groups of the sorted sequence
reaches alike tokens anywhere in the image; a second softmax attends to the centres themselves. The centres are buffers:
training moves them by k-means and a moving average, prediction reads them; a network that was never trained takes
them from each image. Attention inside overlapping patches follows.

Two things differ from the authors' code. Patches are never larger than the map, so that sides below 28 pixels keep all
of it. And overlapping patches are averaged by how many there are: on a side one pixel longer than a patch and a whole
number of steps, three of them meet in one line, whose sum the authors divide by four.

The nearest centre of a token is a hard choice that rounding changes: in bfloat16 the output deviates by 0.058 of its
standard deviation from that in float32 (`python -m benchmarks.precision CATANet:base:64`, made-up weights).

Legend: B batch, H W map, N = H * W tokens, C channels, T centres, h heads, d head width.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.aggregation import (
    chunk_means,
    grouped_attention,
    grouping_order,
    k_means_step,
    nearest_center,
)
from denseformer.attention.patches import average_patches, extract_patches, stepped_starts, take_tokens
from denseformer.attention.softmax import window_softmax_attention
from denseformer.checkpoints.keys import StateDict, count, linear_from_pointwise, rename
from denseformer.layers import DepthwiseConv, Linear, PreNormBlock, to_channels_last
from denseformer.layers.initializers import linears
from denseformer.network import Source
from denseformer.precision import at_least_float32
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationNetwork, RestorationOptions
from denseformer.restoration.networks.layers import ResidualConvMlp, conv3x3, convolve, shuffle_factors

CENTER_DECAY = 0.999
depthwise_5x5 = partial(DepthwiseConv, kernel_size=5)


class GroupAttention(nn.Module):
    """Attention of tokens (B, N, C) to their group and the next, plus attention to the centres (B, T, C).

    qk_dim: channels of all heads' queries; stable_order: see `CATANet`.
    """

    def __init__(self, dim: int, qk_dim: int, heads: int, group: int, stable_order: bool):
        super().__init__()
        self.heads = heads
        self.widths = qk_dim, qk_dim, dim
        self.group = group
        self.stable_order = stable_order
        self.qkv = Linear(dim, 2 * qk_dim + dim, bias=False)
        self.centre_kv = Linear(dim, qk_dim + dim, bias=False)
        self.proj = Linear(dim, dim, bias=False)
        self.out = Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, index: Tensor, centres: Tensor) -> Tensor:
        """index: (B, N), the centre each token belongs to."""
        N = x.shape[1]
        group = min(N, self.group)
        order = grouping_order(index, group, self.stable_order)  # (B, L), one group longer than what is attended from
        q, k, v = split_heads(self.qkv(take_tokens(x, order)), self.widths, self.heads)  # each (B, L, h, d)
        out = grouped_attention(q, k, v, group)  # (B, L - g, C)
        q, k, v = (t.transpose(1, 2) for t in (q, *split_heads(self.centre_kv(centres), self.widths[1:], self.heads)))
        out = out + window_softmax_attention(q[:, :, :-group], k, v)
        return take_tokens(self.out(self.proj(out)), order[:, :N].argsort(-1))  # back to the order of the map


def split_heads(x: Tensor, widths: Sequence[int], heads: int) -> list[Tensor]:
    """(B, N, sum of widths) -> for each width (B, N, h, width / h)."""
    return [part.unflatten(-1, (heads, -1)) for part in x.split(widths, -1)]


class TokenBlock(nn.Module):
    """Content-aware attention and an MLP, each pre-normalised and residual: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, attn: GroupAttention, mlp: nn.Module, centres: int, iterations: int):
        super().__init__()
        self.iterations = iterations
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attn
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = mlp
        self.register_buffer('means', torch.randn(centres, dim))
        self.register_buffer('initted', torch.tensor(False))

    def forward(self, x: Tensor, means: Tensor, initted: Tensor) -> tuple[Tensor, Tensor]:
        """The buffers are handed in, so that a checkpointed block sees them as they were; also returns the centres."""
        tokens = self.norm1(x).flatten(1, 2)  # (B, N, C)
        with torch.autocast(x.device.type, enabled=False):
            exact = at_least_float32(tokens)
            centres = self.find_centers(exact, at_least_float32(means), initted)
            index = nearest_center(exact.detach(), centres.detach())
        x = x + self.attn(tokens, index, centres.to(tokens.dtype)).view(x.shape)
        return x + self.mlp(self.norm2(x)), centres

    def find_centers(self, tokens: Tensor, means: Tensor, initted: Tensor) -> Tensor:
        """The centres of tokens (B, N, C): (B, T, C). Only the last step of k-means is differentiable."""
        with torch.no_grad():
            centres = torch.where(initted, means, chunk_means(tokens, len(means)))
            if not self.training:
                return centres
            centres = centres.mean(0)
            for _ in range(self.iterations - 1):
                centres = k_means_step(tokens, centres)
        return k_means_step(tokens, centres).expand(len(tokens), -1, -1)

    @torch.no_grad()
    def update_means(self, centres: Tensor) -> None:
        """Move the buffers towards the centres of a training batch, (B, T, C), all alike; the first one is copied."""
        new = centres[0].to(self.means.dtype)
        self.means.copy_(torch.where(self.initted, self.means.lerp(new, 1 - CENTER_DECAY), new))
        self.initted.fill_(True)


class PatchAttention(nn.Module):
    """Attention inside patches that overlap by 2 pixels and are averaged: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, qk_dim: int, heads: int, patch: int):
        super().__init__()
        self.heads = heads
        self.widths = qk_dim, qk_dim, dim
        self.patch = patch
        self.qkv = Linear(dim, 2 * qk_dim + dim, bias=False)
        self.proj = Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, _ = x.shape
        patch = min(H, self.patch), min(W, self.patch)
        starts = stepped_starts(H, patch[0], self.patch - 2), stepped_starts(W, patch[1], self.patch - 2)
        patches = extract_patches(x, patch, starts).flatten(0, 1)  # (B*n, N, C)
        q, k, v = (t.transpose(1, 2) for t in split_heads(self.qkv(patches), self.widths, self.heads))
        out = self.proj(window_softmax_attention(q, k, v))  # (B*n, N, C)
        return average_patches(out.unflatten(0, (B, -1)), patch, starts, (H, W))


class Block(nn.Module):
    """Content-aware attention, attention in patches, a convolution: (B, H, W, C) -> the same."""

    def __init__(self, arch: 'Arch', index: int, stable_order: bool):
        super().__init__()
        dim, heads = arch.dim, (arch.qk_dim, arch.heads)
        self.tokens = TokenBlock(
            dim,
            GroupAttention(dim, *heads, arch.groups[index], stable_order),
            ResidualConvMlp(dim, arch.hidden, depthwise_5x5),
            arch.centres[index],
            arch.iterations,
        )
        self.patches = PreNormBlock(
            dim,
            PatchAttention(dim, *heads, arch.patches[index]),
            ResidualConvMlp(dim, arch.hidden, depthwise_5x5),
            drop_path=0,
        )
        self.conv = conv3x3(dim, dim)

    def forward(self, x: Tensor, means: Tensor, initted: Tensor) -> tuple[Tensor, Tensor]:
        y, centres = self.tokens(x, means, initted)
        return x + convolve(self.conv, self.patches(y)), centres


@dataclass(frozen=True, kw_only=True)
class Arch:
    """qk_dim: channels of all queries; hidden: of the MLPs; per block: patches (sides), centres, groups (tokens)."""

    dim: int
    qk_dim: int
    heads: int
    hidden: int
    patches: tuple[int, ...]
    centres: tuple[int, ...]
    groups: tuple[int, ...]
    iterations: int = 5


@MODELS.register_module()
class CATANet(RestorationNetwork):
    """Content-Aware Token Aggregation Network.

    A moving average of the weights must copy the buffers `means` and `initted`.

    Args:
        stable_order: keep tokens of one centre in raster order. By default they come as the sort of the authors' code
            leaves them, which keeps raster order on GPUs, where the published weights were trained, but not on CPUs.
        The others are described in `RestorationNetwork`.
    """

    source = Source(
        paper='CATANet: Efficient Content-Aware Token Aggregation for Lightweight Image Super-Resolution, '
        'https://arxiv.org/abs/2503.06896',
        code='https://github.com/EquationWalker/CATANet',
        license='Apache-2.0',
    )
    tile_overlap = 28

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        stable_order: bool = False,
        **common: Unpack[RestorationOptions],
    ):
        super().__init__(arch=arch, **common)
        dim = self.arch.dim
        self.conv_first = conv3x3(self.in_channels, dim)
        self.blocks = nn.ModuleList(Block(self.arch, i, stable_order) for i in range(len(self.arch.patches)))
        self.factors = shuffle_factors(self.scale)
        self.upsample = nn.ModuleList(conv3x3(dim, dim * factor**2) for factor in self.factors)
        self.conv_last = conv3x3(dim, self.in_channels)
        self.apply(linears)

    def restore(self, image: Tensor) -> Tensor:
        shallow = self.conv_first(to_channels_last(image)).permute(0, 2, 3, 1)  # (B, H, W, C)
        x = shallow
        for block in self.blocks:
            tokens = block.tokens
            x, centres = self.run(block, x, tokens.means.clone(), tokens.initted.clone())
            if self.training:
                tokens.update_means(centres)
        x = (x + shallow).permute(0, 3, 1, 2)  # (B, C, H, W)
        for i, conv in enumerate(self.upsample):
            x = F.pixel_shuffle(x, self.factors[i - 1]) if i else x
            x = F.leaky_relu(conv(x), 0.1, inplace=True)
        base = F.interpolate(image, scale_factor=self.scale, mode='bilinear', align_corners=False)
        return self.conv_last(F.pixel_shuffle(x, self.factors[-1])) + base

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'CATANet | None' = None) -> StateDict:
        """From `blocks.i.0` and `.1` with separate projections. Centres that come without a flag count as trained."""
        renamed = rename(state_dict, *OFFICIAL_NAMES)
        for stem in [key.removesuffix('to_v') for key in renamed if key.endswith('.to_v')]:
            parts = [renamed.pop(stem + part) for part in ('to_q', 'to_k', 'to_v') if stem + part in renamed]
            renamed[stem + 'weight'] = torch.cat(parts)
        for key in [key for key in renamed if key.endswith('.means')]:
            renamed.setdefault(key.removesuffix('means') + 'initted', torch.tensor(True))
        return linear_from_pointwise(renamed)

    @classmethod
    def infer_options(cls, state_dict: StateDict) -> dict[str, Any] | None:
        """Heads, patch sides and group sizes leave no trace in the tensors; they are taken as published."""
        state_dict = cls.remap_official_keys(state_dict)
        depth = count(state_dict, r'blocks\.(\d+)\.tokens\.means$')
        if not depth:
            return None
        published = cls.archs['base']
        centres = tuple(len(state_dict[f'blocks.{i}.tokens.means']) for i in range(depth))
        channels, dim = state_dict['conv_last.weight'].shape[:2]
        hidden = len(state_dict['blocks.0.tokens.mlp.fc1.bias'])
        fields = {
            'dim': dim,
            'qk_dim': (len(state_dict['blocks.0.tokens.attn.qkv.weight']) - dim) // 2,
            'heads': published.heads,
            'hidden': hidden,
            'patches': tuple(published.patches[i % len(published.patches)] for i in range(depth)),
            'centres': centres,
            'groups': tuple(published.centres[0] * published.groups[0] // count for count in centres),
        }
        steps = [len(value) / dim for key, value in state_dict.items() if re.match(r'upsample\.\d+\.bias', key)]
        scale = round(math.prod(steps) ** 0.5)
        return {'arch': cls.name_arch(fields), 'scale': scale, 'in_channels': channels}


OFFICIAL_NAMES = (
    (r'^first_conv\.', 'conv_first.'),
    (r'^last_conv\.', 'conv_last.'),
    (r'^upconv(\d?)\.', lambda match: f'upsample.{int(match[1] or 1) - 1}.'),
    (r'^mid_convs\.(\d+)\.', r'blocks.\1.conv.'),
    (r'^(blocks\.\d+)\.0\.', r'\1.tokens.'),
    (r'^(blocks\.\d+)\.1\.layer\.0\.norm\.', r'\1.patches.norm1.'),
    (r'^(blocks\.\d+)\.1\.layer\.0\.fn\.', r'\1.patches.attn.'),
    (r'^(blocks\.\d+)\.1\.layer\.1\.', r'\1.patches.mlp.'),
    (r'\.tokens\.norm\.', '.tokens.norm1.'),
    (r'\.mlp\.norm\.', '.norm2.'),
    (r'\.mlp\.fn\.', '.mlp.'),
    (r'\.depthwise_conv\.0\.', '.'),
    (r'\.iasa_attn\.', '.attn.'),
    (r'\.irca_attn\.(to_[kv])\.weight$', r'.attn.centre_kv.\1'),
    (r'\.attn\.(to_[qkv])\.weight$', r'.attn.qkv.\1'),
    (r'\.tokens\.conv1x1\.', '.tokens.attn.out.'),
)

CATANet.archs = {
    'base': Arch(
        dim=40,
        qk_dim=36,
        heads=4,
        hidden=96,
        patches=(16, 20, 24, 28) * 2,
        centres=(16, 32, 64, 128) * 2,
        groups=(256, 128, 64, 32) * 2,
    ),
}
