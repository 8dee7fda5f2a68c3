"""TransNeXt: Robust Foveal Visual Perception for Vision Transformers.

Paper: "TransNeXt: Robust Foveal Visual Perception for Vision Transformers", https://arxiv.org/abs/2311.17132.
Official code: https://github.com/DaiShiResearch/TransNeXt (Apache-2.0).

Like an eye, a query sees its 3 x 3 neighbors sharply and the rest of the image pooled, in one softmax; learned tokens
that the query is compared with add weights to the neighbors. Queries and keys have unit length, and logits grow with
the logarithm of the number of keys, so that attention stays as focused on large images. The bias of the pooled keys
comes from an MLP on log-spaced offsets, in units of the 224 pixel pre-training: it is made for `image_size` and resized
bilinearly to the map, or, with `extrapolate`, made for the map itself. The norm at the end of a stage is part of the
network: what it returns is the output and feeds the next stage.

Legend: B batch, H W map, N = H * W, C channels, h heads, d head width, P pooled keys, T = 9 neighbors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import expm1, log
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.foveal import foveal_attention
from denseformer.attention.neighbors_3x3 import inside_map
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, linear_from_pointwise, rename, stages_from_numbers, strip_classifier
from denseformer.dynamic_shapes import same_size
from denseformer.layers import (
    ConvDownsample,
    DepthwiseConv,
    Linear,
    OverlapPatchEmbed,
    Pointwise,
    PreNormBlock,
    average_to_grid,
    drop_path_rates,
)
from denseformer.layers.initializers import fan_out
from denseformer.network import Source
from denseformer.registry import MODELS

Size = tuple[int, int]
PRETRAINED_SIZE = 224
SPAN = 8  # offsets across the pre-training image run to this before the logarithm
norm = partial(nn.LayerNorm, eps=1e-6)


@cached_constant(64)
def axis_offsets(queries: int, keys: int, pretrained: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Log-spaced offsets query - key on one axis (n,), and which of them each pair has (queries, keys).

    A key lies at the mean position of the queries that adaptive pooling gathers into it: at a half or whole one.
    """
    twice_keys = [k * queries // keys - (-(k + 1) * queries // keys) - 1 for k in range(keys)]  # first + last gathered
    step = 1 if len({position % 2 for position in twice_keys}) == 2 else 2
    first, last = -max(twice_keys), 2 * (queries - 1) - min(twice_keys)
    offsets = torch.arange(first, last + 1, step, device=device) / 2 / max(pretrained - 1, 1) * SPAN
    twice_queries = 2 * torch.arange(queries, device=device)
    index = (twice_queries[:, None] - torch.tensor(twice_keys, device=device) - first) // step
    return offsets.sign() * (offsets.abs() + 1).log2() / log(SPAN, 2), index


@cached_constant(64)
def axis_weights(
    queries: int, keys: int, trained: tuple[int, int], pretrained: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """How much of each offset's bias the pairs of one axis get when the bias of the trained sizes is resized to theirs.

    -> (n, queries, keys), n offsets. Bilinear interpolation treats each axis by itself, so no bias is made in the size
    that it is resized from, which is large in detection.
    """
    offsets, index = axis_offsets(*trained, pretrained, device)
    chosen = F.one_hot(index, len(offsets)).movedim(-1, 0).to(dtype)  # (n, *trained)
    return F.interpolate(chosen[None], (queries, keys), mode='bilinear')[0]


class ContinuousPositionBias(nn.Module):
    """A bias per head, query and pooled key from an MLP on their offset: map and pooled sizes -> (h, N, P).

    pretrained: side of the map at pre-training; trained: sides of the map and of the pooled map that the bias is made
    for before it is resized, None to make it for any map's own.
    """

    def __init__(self, heads: int, *, pretrained: int, trained: tuple[int, int] | None):
        super().__init__()
        self.pretrained, self.trained = pretrained, trained
        self.fc1 = Linear(2, 512)
        self.fc2 = Linear(512, heads)

    def forward(self, size: Size, pooled: Size) -> Tensor:
        axes = list(zip(size, pooled, strict=True))
        if self.trained is None or all(same_size(axis, self.trained) for axis in axes):
            bias = self.own(axes)
        else:
            bias = self.resized(axes, self.trained)
        return bias.transpose(2, 3).flatten(3).flatten(1, 2)

    def own(self, axes: list[Size]) -> Tensor:
        """The bias that is made for these numbers of queries and keys on each axis: (h, H, pooled H, W, pooled W)."""
        (y, rows), (x, columns) = (axis_offsets(*axis, self.pretrained, self.fc1.weight.device) for axis in axes)
        bias = self.table(y, x)[:, rows.flatten()][:, :, columns.flatten()]  # (h, H * pooled H, W * pooled W)
        return bias.unflatten(2, columns.shape).unflatten(1, rows.shape)

    def resized(self, axes: list[Size], trained: Size) -> Tensor:
        """The bias that is made for the trained sizes and resized to these: (h, H, pooled H, W, pooled W)."""
        weight = self.fc1.weight
        offsets, _ = axis_offsets(*trained, self.pretrained, weight.device)
        table = self.table(offsets, offsets)
        rows, columns = (
            axis_weights(*axis, trained, self.pretrained, weight.device, weight.dtype).to(table.dtype) for axis in axes
        )
        bias = rows.flatten(1).T @ table @ columns.flatten(1)  # (h, H * pooled H, W * pooled W)
        return bias.unflatten(2, columns.shape[1:]).unflatten(1, rows.shape[1:])

    def table(self, y: Tensor, x: Tensor) -> Tensor:
        """Offsets on both axes (m,), (n,) -> (h, m, n)."""
        offsets = torch.cartesian_prod(y, x).to(self.fc1.weight.dtype)
        return self.fc2(self.fc1(offsets).relu()).T.unflatten(1, (len(y), len(x)))


class CosineAttention(nn.Module):
    """The base of both attentions: unit queries and keys, a learned query, and logits that know the number of keys."""

    def __init__(self, dim: int, heads: int, cpb: ContinuousPositionBias):
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.full((heads, 1), log(expm1(1 / 0.24))))  # softplus of it is 1 / 0.24
        self.query_embedding = nn.Parameter(torch.empty(heads, dim // heads))
        self.cpb = cpb
        self.proj = Linear(dim, dim)
        nn.init.trunc_normal_(self.query_embedding, std=0.02)

    def split(self, x: Tensor) -> Tensor:
        """(..., n * C) -> (n, ..., h, d)."""
        return x.unflatten(-1, (-1, self.heads, self.query_embedding.shape[1])).movedim(-3, 0)

    def magnify(self, q: Tensor, keys: Tensor) -> Tensor:
        """Queries (..., h, d) for the logits of a softmax over `keys` many keys."""
        return ((q + self.query_embedding) * F.softplus(self.temperature) * keys.log()).to(q.dtype)

    def join(self, heads: Tensor, gates: Tensor | None) -> Tensor:
        """The outputs of the heads (B, H, W, h, d), each times its gate (B, H, W, h) if it has one -> (B, H, W, C)."""
        if gates is not None:
            heads = heads * gates[..., None].to(heads.dtype)
        return self.proj(heads.flatten(-2))


class GlobalCosineAttention(CosineAttention):
    """Attention of all tokens to all: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, cpb: ContinuousPositionBias):
        super().__init__(dim, heads, cpb)
        self.qkv = Linear(dim, 3 * dim)

    def forward(self, x: Tensor, gates: Tensor | None = None) -> Tensor:
        size = x.shape[1], x.shape[2]
        q, k, v = self.split(self.qkv(x).flatten(1, 2))  # each (B, N, h, d)
        keys = torch.scalar_tensor(size[0] * size[1], device=x.device)
        q, k = self.magnify(F.normalize(q, dim=-1), keys), F.normalize(k, dim=-1)
        bias = self.cpb(size, size).to(q.dtype)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # each (B, h, N, d)
        out = F.scaled_dot_product_attention(q, k, v.to(q.dtype), attn_mask=bias[None], scale=1.0)
        return self.join(out.transpose(1, 2).unflatten(1, size), gates)


class AggregatedAttention(CosineAttention):
    """Attention to neighbors and to the map pooled by `reduction`: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, cpb: ContinuousPositionBias, reduction: int):
        super().__init__(dim, heads, cpb)
        self.reduction = reduction
        self.q = Linear(dim, dim)
        self.kv = Linear(dim, 2 * dim)
        self.sr = Pointwise(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.local_bias = nn.Parameter(torch.empty(heads, 9))
        self.tokens = nn.Parameter(torch.empty(heads, dim // heads, 9))
        self.token_bias = nn.Parameter(torch.zeros(heads, 9))
        nn.init.trunc_normal_(self.local_bias, std=0.0004)
        nn.init.trunc_normal_(self.tokens, std=0.02)

    def forward(self, x: Tensor, gates: Tensor | None = None) -> Tensor:
        _, H, W, _ = x.shape
        pooled = max(H // self.reduction, 1), max(W // self.reduction, 1)
        q = F.normalize(self.split(self.q(x))[0], dim=-1)
        k, v = self.split(self.kv(x))  # each (B, H, W, h, d)
        pooled_k, pooled_v = self.split(self.kv(self.pool(x, pooled).flatten(1, 2)))  # each (B, P, h, d)
        keys = inside_map(H, W, x.device).sum(-1)[:, :, None, None] + pooled[0] * pooled[1]
        out = foveal_attention(
            self.magnify(q, keys.float()),
            F.normalize(k, dim=-1),
            v,
            (F.normalize(pooled_k, dim=-1), pooled_v),
            self.local_bias,
            self.cpb((H, W), pooled),
            torch.einsum('byxhd,hdt->byxht', q, self.tokens.to(q.dtype)) + self.token_bias,
        )
        return self.join(out, gates)

    def pool(self, x: Tensor, size: Size) -> Tensor:
        x = F.gelu(self.sr(x)).permute(0, 3, 1, 2)  # (B, C, H, W)
        return self.norm(average_to_grid(x, size).permute(0, 2, 3, 1))


class ConvGLU(nn.Module):
    """A linear gate on a depth-wise convolution: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, ratio: int):
        super().__init__()
        hidden = 2 * dim * ratio // 3
        self.fc1 = Linear(dim, 2 * hidden)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.fc1(x).chunk(2, -1)
        return self.fc2(F.gelu(self.dwconv(x)) * gate)


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """reductions: by how much each stage pools its keys, 1 for attention to all of them. Heads are 24 wide."""

    mlp_ratios: tuple[int, ...] = (8, 8, 4, 4)
    reductions: tuple[int, ...] = (8, 4, 2, 1)


@MODELS.register_module()
class TransNeXt(Backbone):
    """Foveal vision transformer.

    Args:
        image_size: side of the square images the position biases are made for, near the size of the images seen: 224
            on ImageNet, 512 on ADE20K, 800 for detection and testing at several scales.
        extrapolate: make the biases for each image's own size instead.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='TransNeXt: Robust Foveal Visual Perception for Vision Transformers, https://arxiv.org/abs/2311.17132',
        code='https://github.com/DaiShiResearch/TransNeXt',
        license='Apache-2.0',
    )
    norm_feeds_next = True
    no_weight_decay = ('norm', 'query_embedding', 'local_bias', 'cpb', 'temperature')
    initial_weights = staticmethod(fan_out)
    stage_class: ClassVar[type[Stage]] = Stage

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        image_size: int = PRETRAINED_SIZE,
        extrapolate: bool = False,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        if image_size < 32:
            raise ValueError(f'image_size must be at least 32, got {image_size}.')
        self.image_size = None if extrapolate else image_size
        widths, rates = self.arch.widths, drop_path_rates(drop_path_rate, self.arch.depths)
        self.assemble(
            patch_embed=OverlapPatchEmbed(self.in_channels, widths[0]),
            stages=[
                self.stage_class(
                    [self.make_block(i, rate) for rate in rates[i]],
                    ConvDownsample(widths[i - 1], widths[i], bias=True) if i else None,
                )
                for i in range(len(widths))
            ],
            out_norms=[norm(width) for width in widths],
        )

    def make_block(self, i: int, drop_path: float) -> PreNormBlock:
        """A block of stage `i`, on maps (B, H, W, C)."""
        attn = self.make_attention(i)
        mlp = ConvGLU(self.arch.widths[i], self.arch.mlp_ratios[i])
        return PreNormBlock(self.arch.widths[i], attn, mlp, norm=norm, drop_path=drop_path)

    def make_attention(self, i: int) -> CosineAttention:
        dim, reduction, stride = self.arch.widths[i], self.arch.reductions[i], self.strides[i]
        side = self.image_size and self.image_size // stride
        trained = None if side is None else (side, side // reduction)
        heads = dim // 24
        cpb = ContinuousPositionBias(heads, pretrained=PRETRAINED_SIZE // stride, trained=trained)
        if reduction == 1:
            return GlobalCosineAttention(dim, heads, cpb)
        return AggregatedAttention(dim, heads, cpb, reduction)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'TransNeXt') -> StateDict:
        """From `patch_embed{n}`, `block{n}` and `norm{n}` with n = 1 .. 4; parameters lose their axes of length 1."""
        state_dict = rename(
            strip_classifier(state_dict, official=r'^block\d\.', classifier=(r'^head\.',)),
            *stages_from_numbers(),
            (r'\.downsample\.proj\.', '.downsample.reduction.'),
            (r'\.attn\.cpb_', '.attn.cpb.'),
            (r'\.attn\.relative_pos_bias_local$', '.attn.local_bias'),
            (r'\.attn\.learnable_tokens$', '.attn.tokens'),
            (r'\.attn\.learnable_bias$', '.attn.token_bias'),
            (r'\.mlp\.dwconv\.dwconv\.', '.mlp.dwconv.'),
        )
        state_dict = linear_from_pointwise(state_dict, r'\.attn\.sr\.weight$')
        flat = ('.temperature', '.query_embedding', '.token_bias')
        return {key: value.flatten(1) if key.endswith(flat) else value for key, value in state_dict.items()}


TransNeXt.archs = {
    'micro': Arch(width=48, depths=(2, 2, 15, 2)),
    'tiny': Arch(width=72, depths=(2, 2, 15, 2)),
    'small': Arch(width=72, depths=(5, 5, 22, 5)),
    'base': Arch(width=96, depths=(5, 5, 23, 5)),
}
