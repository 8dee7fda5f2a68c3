"""SOFT and SOFT++: Softmax-free Transformers with Linear Complexity.

Papers: "SOFT: Softmax-free Transformer with Linear Complexity", https://arxiv.org/abs/2110.11945, and "Softmax-free
Linear Transformers", https://arxiv.org/abs/2207.03341.
Official code: https://github.com/fudan-zvg/SOFT (MIT).

Attention weights are a Gaussian kernel of the queries, which are the keys too, approximated through landmarks: queries
pooled by a strided convolution. Its pseudo-inverse takes Newton's iterations; SOFT++ normalises it (`normalize`). The
first three stages are post-norm, and what the authors call drop path is dropout of single values there. The last stage
attends with a softmax and keeps a class token. Position tables are resized bilinearly to the map. No dense backbone was
published: the maps of the first three stages, and the last one's tokens after the final norm, are returned.

Differences from the authors' code: the step of SOFT++'s inverse is chosen per image, not for a whole batch, so images
do not depend on what they are batched with; one image gives the same numbers. Gradients pass through both inverses as
through exact ones. `small` is the variant of the code, with 38.9M parameters, not the 24M one of the paper.

Legend: B batch, H W map, N = H * W, C channels, h heads, d head width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax_free import damped_inverse, normalized_inverse, softmax_free_attention
from denseformer.backbones.base import Backbone, BackboneOptions
from denseformer.backbones.global_attention.pvt import PositionedStage
from denseformer.checkpoints.keys import StateDict, join, rename, stages_from_numbers, strip_classifier
from denseformer.layers import (
    ConvBatchNormDownsample,
    ConvStem,
    GlobalAttention,
    Linear,
    Mlp,
    PostNormBlock,
    PreNormBlock,
    drop_path_rates,
)
from denseformer.network import Source
from denseformer.registry import MODELS

MLP_RATIO = 4
norm = partial(nn.LayerNorm, eps=1e-6)


class SoftmaxFreeAttention(nn.Module):
    """Gaussian attention through landmarks, and a convolution of the values: (B, H, W, C) -> the same.

    reduction: side of the squares of queries that become one landmark; kernel_size: of the convolution, one per head.
    """

    def __init__(self, dim: int, heads: int, reduction: int, kernel_size: int, inverse: Callable[[Tensor], Tensor]):
        super().__init__()
        self.heads, self.inverse = heads, inverse
        width = dim // heads
        self.scale = width**-0.25
        self.qv = Linear(dim, 2 * dim)
        self.landmark = nn.Conv2d(width, width, reduction, reduction, bias=False)
        self.landmark_norm = nn.LayerNorm(width)
        self.conv = nn.Conv2d(heads, heads, kernel_size, padding=kernel_size // 2, groups=heads, bias=False)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, C = x.shape
        q, v = self.qv(x).chunk(2, -1)  # each (B, H, W, C)
        q = q.unflatten(-1, (self.heads, -1)).permute(0, 3, 1, 2, 4) * self.scale  # (B, h, H, W, d)
        tokens = v.unflatten(-1, (self.heads, -1)).permute(0, 3, 1, 2, 4).flatten(2, 3)  # (B, h, N, d)
        out = softmax_free_attention(q.flatten(2, 3), tokens, self.landmarks(q), self.inverse)
        out = out.transpose(1, 2).reshape(B, H, W, C).to(v.dtype)
        return self.proj(out + self.enhance(v))

    def landmarks(self, q: Tensor) -> Tensor:
        """(B, h, H, W, d) -> (B, h, M, d)."""
        pooled = self.landmark(q.flatten(0, 1).permute(0, 3, 1, 2))  # (B*h, d, H/r, W/r)
        pooled = pooled.flatten(2).transpose(1, 2).unflatten(0, (-1, self.heads))
        return F.gelu(self.landmark_norm(pooled))

    def enhance(self, v: Tensor) -> Tensor:
        """All channels of a head convolved with its kernel: (B, H, W, C) -> the same."""
        C = v.shape[-1]
        kernel = self.conv.weight.repeat_interleave(C // self.heads, 0)
        return F.conv2d(v.permute(0, 3, 1, 2), kernel, padding=self.conv.padding, groups=C).permute(0, 2, 3, 1)


class NormedSumBlock(nn.Module):
    """Token mixer and MLP, each residual and normalised after: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, attn: nn.Module, dropout: float):
        super().__init__()
        self.attn = attn
        self.norm1 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, MLP_RATIO * dim, act=partial(nn.GELU, approximate='tanh'))
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout(self.attn(x)))
        return self.norm2(x + self.dropout(self.mlp(x)))


class TokenAttention(GlobalAttention):
    """Softmax attention of all tokens of a sequence to all: (B, N, C) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, None])[:, 0]


class ClassTokenStage(PositionedStage):
    """A stage whose blocks work on a class token and the map's tokens, (B, 1 + N, C); the map is returned."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None, *, dim: int, side: int):
        super().__init__(blocks, downsample, dim=dim, side=side)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.cls_position = nn.Parameter(torch.empty(1, 1, dim))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.cls_position, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        cls_token = (self.cls_token + self.cls_position).to(x.dtype).expand(x.shape[0], -1, -1)
        tokens = torch.cat([cls_token, x.flatten(1, 2)], 1)
        for block in self.blocks:
            tokens = self.run(block, tokens)
        return tokens[:, 1:].view(x.shape)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """widths: heads are 32 channels wide; depths: blocks of each stage."""

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 320, 512)
    reductions: tuple[int, ...] = (8, 4, 2)
    kernel_sizes: tuple[int, ...] = (9, 5, 3)


@MODELS.register_module()
class SOFT(Backbone):
    """Softmax-free vision transformer.

    Args:
        normalize: SOFT++'s normalised attention; the parameters are the same, the checkpoints are not.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='SOFT: Softmax-free Transformer with Linear Complexity, https://arxiv.org/abs/2110.11945',
        code='https://github.com/fudan-zvg/SOFT',
        license='MIT',
    )
    no_weight_decay = ('norm', 'cls_token')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        normalize: bool = False,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.inverse = normalized_inverse if normalize else damped_inverse
        widths, rates = self.arch.widths, drop_path_rates(drop_path_rate, self.arch.depths)
        stages = []
        for i, width in enumerate(widths):
            downsample = ConvBatchNormDownsample(widths[i - 1], width, act=nn.ReLU) if i else None
            last = i == len(widths) - 1
            blocks = [self._last_block(i, rate) if last else self._block(i, rate) for rate in rates[i]]
            kind = ClassTokenStage if last else PositionedStage
            stages.append(kind(blocks, downsample, dim=width, side=self.input_size // self.strides[i]))
        self.assemble(
            patch_embed=ConvStem(self.in_channels, (32, 32, widths[0]), (2, 1, 2), act=nn.ReLU, complete=True),
            stages=stages,
            out_norms=[nn.Identity() for _ in widths[:-1]] + [norm(widths[-1])],
        )

    def _block(self, i: int, dropout: float) -> PostNormBlock:
        dim = self.arch.widths[i]
        attn = SoftmaxFreeAttention(dim, dim // 32, self.arch.reductions[i], self.arch.kernel_sizes[i], self.inverse)
        return NormedSumBlock(dim, attn, dropout)

    def _last_block(self, i: int, drop_path: float) -> PreNormBlock:
        dim = self.arch.widths[i]
        return PreNormBlock(
            dim, TokenAttention(dim, dim // 32), Mlp(dim, MLP_RATIO * dim), norm=norm, drop_path=drop_path
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'SOFT') -> StateDict:
        """From `patch_embed{n}`, `pos_embed{n}` and `block{n}` with n = 1 .. 4."""
        last = len(network.arch.widths) - 1
        state_dict = dict(state_dict)
        for i in range(last + 1):
            table = state_dict.pop(f'pos_embed{i + 1}', None)  # (1, N, C), with a class token (1, 1 + N, C)
            if table is None:
                continue
            if i == last:
                state_dict[f'stages.{i}.cls_position'], table = table[:, :1], table[:, 1:]
            side = round(table.shape[1] ** 0.5)
            state_dict[f'stages.{i}.pos_embed'] = table[0].unflatten(0, (side, side))
        state_dict = rename(
            strip_classifier(state_dict, official=r'^block\d\.', classifier=(r'^head\.',)),
            *stages_from_numbers(),
            (r'\.downsample\.proj\.0\.', '.downsample.reduction.'),
            (r'\.downsample\.proj\.1\.', '.downsample.norm.'),
            (r'^cls_token$', f'stages.{last}.cls_token'),
            (r'^norm\.', f'out_norms.{last}.'),
            (r'\.att\.mha\.attn\.Qlandmark_op\.', '.attn.landmark.'),
            (r'\.att\.mha\.attn\.Qnorm_act\.0\.', '.attn.landmark_norm.'),
            (r'\.att\.mha\.attn\.conv\.', '.attn.conv.'),
            (r'\.att\.mha\.ff\.', '.attn.proj.'),
            (r'\.att\.mha\.', '.attn.'),
            (r'\.att\.ff(\d)\.', r'.mlp.fc\1.'),
            (r'\.att\.norm', '.norm'),
        )
        return join(join(state_dict, ('W_q', 'W_v'), 'qv'), ('q', 'kv'), 'qkv')


SOFT.archs = {
    'tiny': Arch(depths=(1, 2, 3, 2)),
    'small': Arch(depths=(1, 3, 20, 4)),
    'medium': Arch(depths=(1, 3, 29, 5), widths=(64, 128, 288, 512)),
    'large': Arch(depths=(1, 3, 40, 5)),
    'huge': Arch(depths=(1, 5, 49, 5), widths=(64, 128, 352, 512)),
}
