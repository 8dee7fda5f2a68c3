"""Att-SwinU-Net's decoder: Swin blocks up a pyramid, whose skips exchange with it through the mean of their tokens.

Paper: "Attention Swin U-Net: Cross-Contextual Attention Mechanism for Skin Lesion Segmentation",
https://arxiv.org/abs/2210.16898. Official: https://github.com/NITR098/AttSwinUNet (no license; written from the
paper and from what the code computes).

Particular: the mean of a map's tokens attends to the other map's tokens and then takes the place of its own map's first
token. Skips are what the encoder's stages begin with, after the merging of patches. The official "spatial attention"
adds the encoder's attention to the decoder's only in a value that is thrown away; what its flag does is to join every
skip twice with the same weights, which is `join_twice` here. `spatial_attention` is the paper's way: the sum of both
mixes the values.

Legend: B batch, H W map, C channels, N tokens.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.checkpoints.keys import Rule, StateDict, drop, rename
from denseformer.layers import Linear, Mlp, PreNormBlock, ShiftedWindowAttention, drop_path_rates
from denseformer.registry import MODELS
from denseformer.segmentation.segmentor import DeepSupervisionHead, fitted
from denseformer.segmentation.unet_swin import OpenMaps, Weights, run_openly

HEAD_DIM, CROSS_HEADS, CROSS_DEPTH = 64, 8, 2
"""Channels of a head in blocks; heads and blocks of the attention between two maps."""


class PatchExpand(nn.Module):
    """Tokens to squares of smaller ones, then LayerNorm: (B, H, W, C) -> (B, f H, f W, out_dim)."""

    def __init__(self, dim: int, out_dim: int, factor: int = 2):
        super().__init__()
        self.factor = factor
        self.expand = Linear(dim, factor * factor * out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        f = self.factor
        x = self.expand(x).unflatten(3, (f, f, -1)).permute(0, 1, 3, 2, 4, 5)  # (B, H, f, W, f, out_dim)
        return self.norm(x.flatten(3, 4).flatten(1, 2))


class MeanAttention(nn.Module):
    """One token attends to itself and to the tokens of another map: (B, 1, C), (B, N, C) -> (B, 1, C)."""

    def __init__(self, dim: int):
        super().__init__()
        width = CROSS_HEADS * HEAD_DIM
        self.norm = nn.LayerNorm(dim)
        self.to_q = Linear(dim, width, bias=False)
        self.to_kv = Linear(dim, 2 * width, bias=False)
        self.to_out = Linear(width, dim)

    def forward(self, token: Tensor, others: Tensor) -> Tensor:
        token = self.norm(token)
        k, v = self.to_kv(torch.cat([token, others], 1)).chunk(2, 2)
        q, k, v = (x.unflatten(2, (CROSS_HEADS, -1)).transpose(1, 2) for x in (self.to_q(token), k, v))
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class CrossContext(nn.Module):
    """Two maps (B, H, W, C) -> the same, whose first tokens are now their means, told of the other map."""

    def __init__(self, dim: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleList([MeanAttention(dim), MeanAttention(dim)]) for _ in range(CROSS_DEPTH))

    def forward(self, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        size = x.shape[1:3]
        x, skip = x.flatten(1, 2), skip.flatten(1, 2)  # (B, N, C)
        mean, skip_mean = x.mean(1, keepdim=True), skip.mean(1, keepdim=True)
        x, skip = x[:, 1:], skip[:, 1:]
        for attend, skip_attend in self.layers:
            mean = mean + attend(mean, skip)
            skip_mean = skip_mean + skip_attend(skip_mean, x)
        return tuple(torch.cat(pair, 1).unflatten(1, size) for pair in ((mean, x), (skip_mean, skip)))


class DecoderStage(nn.Module):
    """A map (B, H, W, C), enlarged twice, joined with a skip (B, dim, H', W'), and Swin blocks: (B, H', W', dim)."""

    def __init__(self, in_dim: int, dim: int, heads: int, window: int, rates: Sequence[float], cross: bool, joins: int):
        super().__init__()
        self.joins = joins
        self.enlarge = PatchExpand(in_dim, dim)
        self.cross = CrossContext(dim) if cross else None
        self.join = Linear(2 * dim, dim)
        self.blocks = nn.ModuleList(
            PreNormBlock(
                dim,
                ShiftedWindowAttention(
                    dim, heads, window=window, shift=window // 2 if i % 2 else 0, shift_small_maps=False
                ),
                Mlp(dim, 4 * dim),
                drop_path=rate,
            )
            for i, rate in enumerate(rates)
        )

    def forward(self, x: Tensor, skip: Tensor, weights: Weights | None = None) -> Tensor:
        """weights: of the encoder's attention at this level, which are added to the blocks' own of the same windows."""
        x = fitted(self.enlarge(x).permute(0, 3, 1, 2), skip).permute(0, 2, 3, 1)
        skip = skip.permute(0, 2, 3, 1)
        if self.cross is not None:
            x, skip = self.cross(x, skip)
        for _ in range(self.joins):
            x = self.join(torch.cat([x, skip], 3))
        for i, block in enumerate(self.blocks):
            x = block(x) if weights is None else run_openly(block, x, weights.get(i % 2))[0]
        return x


@MODELS.register_module()
class AttSwinUNetHead(DeepSupervisionHead):
    """The decoder, for four maps of any backbone, finest first, each half as high and wide as the one before.

    Scores are four times as fine as the first map. The authors' encoder is `UNetSwin(stage_inputs=True)`.

    Args:
        in_channels, num_classes, options: as in `DeepSupervisionHead`; there are no auxiliary outputs.
        depths, heads: of the blocks at the three finer maps, finest first; heads divide the maps' channels.
        window: side of their windows in tokens.
        cross_levels: at how many of these maps, from the coarsest on, the skip exchanges with the decoder.
        join_twice: whether a skip that does not exchange is joined twice.
        spatial_attention: whether the encoder's weights of attention are added to those of the decoder's blocks, as in
            the paper; the encoder is `UNetSwin(stage_inputs=True, show_attention=True)` with as many heads.
        drop_path_rate: stochastic depth of the coarsest block.

    Raises ValueError for other numbers of maps, heads that do not divide their channels, and an encoder that does not
    show its attention where it is asked for.
    """

    official: ClassVar[tuple[Rule, ...]] = (
        (r'^encoder\.norm\.', 'decode_head.norm.'),
        (r'^encoder\.', 'backbone.swin.'),
        (r'^decoder\.layers_up\.0\.', 'decode_head.stages.0.enlarge.'),
        (r'^decoder\.layers_up\.(\d)\.upsample\.', r'decode_head.stages.\1.enlarge.'),
        (r'^decoder\.layers_up\.(\d)\.blocks\.', lambda match: f'decode_head.stages.{int(match[1]) - 1}.blocks.'),
        (r'^decoder\.concat_back_dim\.(\d)\.', lambda match: f'decode_head.stages.{int(match[1]) - 1}.join.'),
        (r'^decoder\.Crossvit_layer\.(\d)\.', lambda match: f'decode_head.stages.{2 - int(match[1])}.cross.'),
        (r'\.fn\.norm\.', '.norm.'),
        (r'\.fn\.fn\.to_out\.0\.', '.to_out.'),
        (r'\.fn\.fn\.', '.'),
        (r'^(decode_head\..*)\.relative_position_bias_table$', r'\1.bias.table'),
        (r'^decoder\.norm_up\.', 'decode_head.norm_up.'),
        (r'^decoder\.up\.', 'decode_head.enlarge.'),
        (r'^decoder\.output\.', 'decode_head.conv_seg.'),
    )

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        depths: Sequence[int] = (2, 2, 6),
        heads: Sequence[int] = (3, 6, 12),
        window: int = 7,
        cross_levels: int = 3,
        join_twice: bool = False,
        spatial_attention: bool = False,
        drop_path_rate: float = 0.1,
        **options: Any,
    ):
        if len(in_channels) != 4:
            raise ValueError(
                f'AttSwinUNetHead takes four maps, in_channels={tuple(in_channels)} are {len(in_channels)}.'
            )
        *finer, coarsest = in_channels
        if any(dim % count for dim, count in zip(finer, heads, strict=True)):
            raise ValueError(f'heads={tuple(heads)} must divide the channels of the finer maps, {tuple(finer)}.')
        finest = finer[0]
        super().__init__(in_channels=in_channels, channels=finest, **options)
        self.spatial_attention = spatial_attention
        self.norm = nn.LayerNorm(coarsest)
        rates = drop_path_rates(drop_path_rate, depths)
        levels = reversed(list(zip(in_channels[1:], finer, heads, rates, strict=True)))
        self.stages = nn.ModuleList()
        for i, (in_dim, dim, count, own) in enumerate(levels):
            cross = i < cross_levels
            self.stages.append(
                DecoderStage(in_dim, dim, count, window, own, cross, joins=2 if join_twice and not cross else 1)
            )
        self.norm_up = nn.LayerNorm(finest)
        self.enlarge = PatchExpand(finest, finest, 4)
        self.conv_seg = nn.Conv2d(finest, self.out_channels, 1, bias=False)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor | tuple[Tensor]:
        *skips, coarsest = self._transform_inputs(inputs)
        shown: Sequence[Weights | None] = [None] * len(skips)
        if self.spatial_attention:
            if not isinstance(inputs, OpenMaps):
                raise ValueError(
                    'spatial_attention=True takes the attention of the encoder: its backbone must be '
                    "dict(type='denseformer.UNetSwin', stage_inputs=True, show_attention=True), without a neck."
                )
            shown = inputs.weights[: len(skips)]
        x = self.norm(coarsest.permute(0, 2, 3, 1))  # (B, H, W, C)
        for stage, skip, weights in zip(self.stages, reversed(skips), reversed(shown), strict=True):
            x = stage(x, skip, weights)
        scores = self.cls_seg(self.enlarge(self.norm_up(x)).permute(0, 3, 1, 2))
        return (scores,) if self.training else scores

    @classmethod
    def remap_official_keys(cls, state_dict: StateDict) -> StateDict:
        """From the authors' names of the whole network, without what it has and does not use."""
        unused = r'^patch_embed\.', r'^decoder\.norm\.', r'\.relative_position_index$', r'\.attn_mask$'
        return rename(drop(state_dict, *unused), *cls.official)
