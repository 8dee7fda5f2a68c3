"""RMT: Retentive Networks Meet Vision Transformers.

Paper: "RMT: Retentive Networks Meet Vision Transformers", https://arxiv.org/abs/2309.11523.
Official code: https://github.com/qhfan/RMT (no licence stated).

Attention with a spatial prior: logits fall with the Manhattan distance of query and key, at a rate of each head's own.
Where maps are large, attention is decomposed: along the rows, then, on what that returned, along the columns, with the
same queries and keys. Queries and keys are rotated by their position counted row by row, so the angles depend on the
map's width, as in the authors' code. The decays and angles are constants, and are not in the state dict.

Legend: B batch, H W map, N = H * W, C channels, h heads, d head width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.axial import column_attention, row_attention
from denseformer.attention.rotary import Rotation, rotate, row_major_rotation
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, join, rename, stages_from, strip_classifier
from denseformer.layers import (
    ConvBatchNormDownsample,
    ConvMlp,
    ConvStem,
    DepthwiseConv,
    Linear,
    PreNormBlock,
    drop_path_rates,
)
from denseformer.network import Source
from denseformer.registry import MODELS

norm = partial(nn.LayerNorm, eps=1e-6)


class RotaryAttention(nn.Module):
    """Attention of rotated queries and keys, with local enhancement of the values: (B, H, W, C) -> the same.

    A subclass says how tokens are mixed, and what is computed once for all blocks of a stage.
    """

    def __init__(self, dim: int, heads: int, decomposed: bool):
        super().__init__()
        self.heads, self.decomposed = heads, decomposed
        self.qkv = Linear(dim, 3 * dim)
        self.lepe = DepthwiseConv(dim, 5)
        self.proj = Linear(dim, dim)

    def context(self, x: Tensor) -> tuple[Any, ...]:
        """The arguments of `forward` besides the map, the same for all blocks of a stage."""
        return (row_major_rotation((x.shape[1], x.shape[2]), x.shape[3] // self.heads, x.device),)

    def mix(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, *context: Any) -> Tensor:
        """x: the map (B, H, W, C); q, k, v: (B, H, W, h, d) -> (B, H, W, h, d)."""
        raise NotImplementedError

    def forward(self, x: Tensor, rotation: Rotation, *context: Any) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(3)  # each (B, H, W, h, d)
        out = self.mix(x, rotate(q, rotation), rotate(k, rotation), v, *context)
        return self.proj(out.flatten(3) + self.lepe(v.flatten(3)))


class ManhattanAttention(RotaryAttention):
    """Attention that decays with the Manhattan distance; the last head's rate is the smallest, by about 2 ** -span."""

    def __init__(self, dim: int, heads: int, decomposed: bool, span: int):
        super().__init__(dim, heads, decomposed)
        self.span = span

    def context(self, x: Tensor) -> tuple[Any, ...]:
        _, H, W, _ = x.shape
        rows, columns = (axis_decay(side, self.heads, self.span, x.device) for side in (W, H))
        if self.decomposed:
            return (*super().context(x), rows, columns)
        decay = columns[:, :, :, None, :, None] + rows[:, :, None, :, None, :]  # (1, h, H, W, H, W)
        return (*super().context(x), decay.flatten(4).flatten(2, 3))

    def mix(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, *context: Any) -> Tensor:
        if self.decomposed:
            rows, columns = context
            return column_attention(q, k, row_attention(q, k, v, rows), columns)
        return global_attention(q, k, v, *context)


def axis_decay(side: int, heads: int, span: int, device: torch.device) -> Tensor:
    """(1, h, L, L): the logarithm of each head's decay from position to position."""
    head = torch.arange(heads, dtype=torch.float32, device=device)
    rate = torch.log(1 - 2 ** (-2 - span * head / heads))
    position = torch.arange(side, dtype=torch.float32, device=device)
    return (position[:, None] - position).abs() * rate[None, :, None, None]


def global_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention of all tokens to all: q, k, v (B, H, W, h, d), bias (B or 1, h, N, N) -> (B, H, W, h, d)."""
    shape = v.shape
    q, k, v = (x.flatten(1, 2).transpose(1, 2) for x in (q, k, v))  # (B, h, N, d)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype)).transpose(1, 2).reshape(shape)


class RotaryStage(Stage):
    """A stage whose blocks share rotations and decays."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        context = cast(RotaryAttention, self.blocks[0].attn).context(x)
        for block in self.blocks:
            x = self.run(block, x, *context)
        return x


@dataclass(frozen=True, kw_only=True)
class Arch:
    """spans: of the decays of each stage's heads; decomposed: which stages attend along rows and columns."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    spans: tuple[int, ...] = (4, 4, 6, 6)
    decomposed: tuple[bool, ...] = (True, True, True, False)
    layer_scales: tuple[float | None, ...] = (None, None, None, None)


@MODELS.register_module()
class RMT(Backbone):
    """Vision transformer with Manhattan attention. The arguments are described in `Backbone`."""

    source = Source(
        paper='RMT: Retentive Networks Meet Vision Transformers, https://arxiv.org/abs/2309.11523',
        code='https://github.com/qhfan/RMT',
        license='not stated',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths, rates = self.arch.widths, drop_path_rates(drop_path_rate, self.arch.depths)
        self.assemble(
            patch_embed=ConvStem(
                self.in_channels, (widths[0] // 2, widths[0] // 2, widths[0], widths[0]), (2, 1, 2, 1)
            ),
            stages=[
                RotaryStage(
                    [self._block(i, rate) for rate in rates[i]],
                    ConvBatchNormDownsample(widths[i - 1], widths[i]) if i else None,
                )
                for i in range(len(widths))
            ],
            out_norms=[nn.LayerNorm(width) for width in widths],
        )

    def _attention(self, i: int) -> RotaryAttention:
        arch = self.arch
        return ManhattanAttention(arch.widths[i], arch.heads[i], arch.decomposed[i], arch.spans[i])

    def _block(self, i: int, drop_path: float) -> PreNormBlock:
        dim = self.arch.widths[i]
        return PreNormBlock(
            dim,
            self._attention(i),
            ConvMlp(dim, dim * self.arch.mlp_ratios[i], residual=True),
            norm=norm,
            drop_path=drop_path,
            layer_scale=self.arch.layer_scales[i],
            pos_embed=DepthwiseConv(dim),
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'RMT') -> StateDict:
        """From `layers.i`, where downsampling closes a stage, and `extra_norms.i` or `outnormi`."""
        state_dict = strip_classifier(
            state_dict, official=r'^layers\.', classifier=(r'^proj\.', r'^norm\.', r'^head\.', r'\.Relpos\.')
        )
        state_dict = rename(
            state_dict,
            *stages_from('layers'),
            (r'\.retention_layer_norm\.', '.norm1.'),
            (r'\.final_layer_norm\.', '.norm2.'),
            (r'\.retention\.', '.attn.'),
            (r'\.out_proj\.', '.proj.'),
            (r'\.(lepe|dwconv|pos)\.conv\.', r'.\1.'),
            (r'\.pos\.', '.pos_embed.'),
            (r'\.ffn\.', '.mlp.'),
            (r'\.gamma_(\d)$', r'.gamma\1'),
            (r'^(?:extra_norms\.|outnorm)(\d)\.', r'out_norms.\1.'),
        )
        state_dict = join(state_dict, ('q_proj', 'k_proj', 'v_proj'), 'qkv')
        return {key: value.flatten() if '.gamma' in key else value for key, value in state_dict.items()}


LATE_SCALES = (None, None, 1e-6, 1e-6)
RMT.archs = {
    'tiny': Arch(
        widths=(64, 128, 256, 512),
        depths=(2, 2, 8, 2),
        heads=(4, 4, 8, 16),
        mlp_ratios=(3, 3, 3, 3),
        decomposed=(True, True, False, False),
    ),
    'small': Arch(widths=(64, 128, 256, 512), depths=(3, 4, 18, 4), heads=(4, 4, 8, 16), mlp_ratios=(4, 4, 3, 3)),
    'base': Arch(
        widths=(80, 160, 320, 512),
        depths=(4, 8, 25, 8),
        heads=(5, 5, 10, 16),
        mlp_ratios=(4, 4, 3, 3),
        spans=(5, 5, 6, 6),
        layer_scales=LATE_SCALES,
    ),
    'large': Arch(
        widths=(112, 224, 448, 640),
        depths=(4, 8, 25, 8),
        heads=(7, 7, 14, 20),
        mlp_ratios=(4, 4, 3, 3),
        spans=(6, 6, 6, 6),
        layer_scales=LATE_SCALES,
    ),
}
