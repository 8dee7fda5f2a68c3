"""Modules that stand in for those that cannot be traced: the same numbers, by operators that know sides as symbols.

mmdetection and mmcv keep the sizes of maps as tensors in deformable attention, and read numbers off them again, which a
traced tensor does not have. PyTorch's adaptive pooling takes sizes that are known, and mmsegmentation's enlargement, as
in Semantic FPN, makes them known. GiT chooses words by their values, and computes the same vectors of words for each
image.

Legend: B batch, C channels, H W map, N positions of several maps, V words.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.ops import MultiScaleDeformableAttention
from mmdet.models.layers import MSDeformAttnPixelDecoder
from mmseg.models.utils import Upsample
from torch import Tensor, nn

from denseformer.backbones.plain.vit_adapter import DeformableAttention, centers
from denseformer.detection.git.vocabulary import Vocabulary
from denseformer.layers.pooling import average_to_grid


def traceable(model: nn.Module) -> nn.Module:
    """A copy of the model in which substitutes stand for the modules that cannot be traced, with their weights."""
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if substitute := SUBSTITUTES.get(type(child)):
                setattr(parent, name, substitute(child))
    return model


class GridPool(nn.Module):
    """nn.AdaptiveAvgPool2d: (B, C, H, W) -> (B, C, h, w)."""

    def __init__(self, pool: nn.AdaptiveAvgPool2d):
        super().__init__()
        size = pool.output_size
        self.size = (size, size) if isinstance(size, int) else size

    def forward(self, x: Tensor) -> Tensor:
        return average_to_grid(x, self.size)


class Enlarged(nn.Module):
    """mmsegmentation's Upsample: (B, C, H, W) -> (B, C, h, w), of its own size or a multiple of the map's."""

    def __init__(self, theirs: Upsample):
        super().__init__()
        self.size, factor = theirs.size, theirs.scale_factor
        self.factor = int(factor) if factor and factor.is_integer() else factor  # int() of a product would fix it
        self.options = dict(mode=theirs.mode, align_corners=theirs.align_corners)

    def forward(self, x: Tensor) -> Tensor:
        size = self.size or [self.times(side) for side in x.shape[2:]]
        return F.interpolate(x, size, **self.options)

    def times(self, side: int) -> int:
        return side * self.factor if isinstance(self.factor, int) else int(side * self.factor)


def attention_like(theirs: MultiScaleDeformableAttention) -> DeformableAttention:
    """mmcv's deformable attention as ours, with the same layers."""
    ours = DeformableAttention(theirs.embed_dims, theirs.num_heads, theirs.num_levels, 1.0, theirs.num_points)
    for name, layer in theirs.named_children():
        setattr(ours, name, layer)
    return ours


class PixelDecoder(nn.Module):
    """mmdetection's MSDeformAttnPixelDecoder: deformable attention among the coarsest maps, a pyramid of the others."""

    def __init__(self, theirs: MSDeformAttnPixelDecoder):
        super().__init__()
        self.theirs = theirs
        for layer in theirs.encoder.layers:
            layer.self_attn = attention_like(layer.self_attn)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The backbone's maps (B, C, H, W), finest first -> the finest one for masks, and those attended to, coarsest
        first.
        """
        theirs = self.theirs
        coarse, fine = maps[::-1][: theirs.num_encoder_levels], maps[::-1][theirs.num_encoder_levels :]
        sizes = tuple((x.shape[2], x.shape[3]) for x in coarse)
        tokens = torch.cat([tokens_of(conv(x)) for conv, x in zip(theirs.input_convs, coarse, strict=True)], 1)
        marks = [
            tokens_of(theirs.postional_encoding(None, x)) + level
            for x, level in zip(coarse, theirs.level_encoding.weight, strict=True)
        ]
        tokens = self.encoded(tokens, torch.cat(marks, 1), sizes)  # (B, N, C)
        levels = tokens.split([H * W for H, W in sizes], 1)
        found = [level.transpose(1, 2).unflatten(2, size) for level, size in zip(levels, sizes, strict=True)]
        for x, lateral, smooth in zip(fine, theirs.lateral_convs, theirs.output_convs, strict=True):
            found.append(smooth(lateral(x) + F.interpolate(found[-1], x.shape[2:], mode='bilinear')))
        return theirs.mask_feature(found[-1]), found[: theirs.num_outs]

    def encoded(self, x: Tensor, marks: Tensor, sizes: tuple[tuple[int, int], ...]) -> Tensor:
        places = centers(sizes, x.device)
        for layer in self.theirs.encoder.layers:
            attend, norm = layer.self_attn, layer.norms[0]
            x = norm(x + attend(x + marks, places, x, sizes))
            x = layer.norms[1](layer.ffn(x))
        return x


def tokens_of(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)."""
    return x.flatten(2).transpose(1, 2)


class Words(nn.Module):
    """GiT's vocabulary, whose vectors are computed once, here."""

    def __init__(self, vocabulary: Vocabulary):
        super().__init__()
        with torch.no_grad():
            words, task = vocabulary.vectors()
        self.register_buffer('words', words)
        self.register_buffer('task', task)
        self.positions, self.norm = vocabulary.positions, vocabulary.norm

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The words (V, C) and the task (C,)."""
        return self.words, self.task

    def embed(self, vectors: Tensor, start: int) -> Tensor:
        """Vectors (..., L, C) as tokens of sequences, of which `start` stand in front of them."""
        return self.norm(vectors + self.positions.weight[start : start + vectors.shape[-2]])


SUBSTITUTES: Mapping[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.AdaptiveAvgPool2d: GridPool,
    Upsample: Enlarged,
    MSDeformAttnPixelDecoder: PixelDecoder,
    Vocabulary: Words,
}
"""By type: what stands for a module, made of it."""
