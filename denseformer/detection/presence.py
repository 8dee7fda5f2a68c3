"""Detectors that tell first whether an image holds anything at all, as SDANet does on X-ray images of baggage.

Paper: "PIDray: A Large-scale X-ray Benchmark for Real-World Prohibited Item Detection",
https://arxiv.org/abs/2211.10763. Official: https://github.com/lutao2021/PIDray (no licence at its top; written from the
paper and from what the code returns).

Legend: B batch, C channels, h w a level of the pyramid, n images that seem to hold something.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.detectors import DDOD, CascadeRCNN
from mmdet.models.layers import SinePositionalEncoding
from mmdet.structures import SampleList
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.registry import MODELS

NAMES: tuple[Rule, ...] = (
    (r'^confidence_transformer\.decoder\.layers\.(\d)\.', r'presence.layers.\1.'),
    (r'^confidence_transformer\.decoder\.norm\.', 'presence.norm.'),
    (r'^confidence_fc\.', 'presence.decide.'),
    (r'^query_embed\.weight$', 'presence.query'),
    (r'^(presence\.layers\.\d\.)multihead_attn\.', r'\1attn.'),
    (r'^(presence\.layers\.\d\.)norm2\.', r'\1norm1.'),
    (r'^(presence\.layers\.\d\.)norm3\.', r'\1norm2.'),
    (r'^(presence\.layers\.\d\.)linear1\.', r'\1mlp.0.'),
    (r'^(presence\.layers\.\d\.)linear2\.', r'\1mlp.3.'),
)


class PresenceLayer(nn.Module):
    """One query looks at all positions of a map, and an MLP follows; norms stand behind the sums."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.norm1 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
        )
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        found, _ = self.attn(x + query, keys, values, need_weights=False)
        x = self.norm1(x + self.dropout(found))
        return self.norm2(x + self.dropout(self.mlp(x)))


class PresenceBranch(nn.Module):
    """Whether an image holds anything: a level (B, C, h, w) of its pyramid -> logits (B,)."""

    def __init__(self, dim: int, heads: int = 4, depth: int = 2, dropout: float = 0.1):
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, dim))
        self.layers = nn.ModuleList(PresenceLayer(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.decide = nn.Linear(dim, 1)
        self.positions = SinePositionalEncoding(dim // 2, normalize=True)
        for weight in self.layers.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)

    def forward(self, level: Tensor, sizes: Sequence[tuple[int, int]], padded: tuple[int, int]) -> Tensor:
        """sizes: of the images without their padding, (height, width); padded: that of the batch."""
        B, C = level.shape[:2]
        outside = level.new_ones((B, 1, *padded))
        for mask, (height, width) in zip(outside, sizes, strict=True):
            mask[:, :height, :width] = 0
        outside = F.interpolate(outside, level.shape[2:])[:, 0].bool()
        pixels = level.flatten(2).transpose(1, 2)  # (B, h*w, C)
        keys = pixels + self.positions(outside).flatten(2).transpose(1, 2)
        query = self.query.expand(B, 1, C)
        x = torch.zeros_like(query)
        for layer in self.layers:
            x = layer(x, query, keys, pixels)
        return self.decide(self.norm(x))[:, 0, 0]


class TellsPresence(RenamesKeys):
    """Mixed in before a detector of mmdetection, whose scores become 0 in images that seem to hold nothing.

    While training, the detector's own losses are those of the images that seem to hold something; the share of these
    scales the gradients. An image without objects is one in the dataset, so `filter_cfg` keeps those.

    Args:
        presence_channels: of the neck's levels, a multiple of 8.
        presence_level: number of the level that the branch reads.
        presence_weight: of the branch's loss, a binary cross-entropy.
        options: the detector's.
    """

    names = NAMES

    def __init__(
        self, *, presence_channels: int = 256, presence_level: int = -1, presence_weight: float = 0.1, **options: Any
    ):
        super().__init__(**options)
        self.presence = PresenceBranch(presence_channels)
        self.presence_level, self.presence_weight = presence_level, presence_weight

    def extract_feat(self, batch_inputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The levels of images; levels pass as they are."""
        return batch_inputs if isinstance(batch_inputs, tuple) else super().extract_feat(batch_inputs)  # type: ignore[misc]

    def presence_logits(self, levels: tuple[Tensor, ...], samples: SampleList) -> Tensor:
        sizes = [sample.img_shape[:2] for sample in samples]
        return self.presence(levels[self.presence_level], sizes, samples[0].batch_input_shape)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Any]:
        levels = self.extract_feat(batch_inputs)
        logits = self.presence_logits(levels, batch_data_samples)
        truth = logits.new_tensor([float(len(sample.gt_instances) > 0) for sample in batch_data_samples])
        chosen = (logits.detach() > 0).nonzero()[:, 0]
        share = len(chosen) / len(logits)
        if len(chosen):
            levels = tuple(level[chosen] for level in levels)
            batch_data_samples = [batch_data_samples[i] for i in chosen.tolist()]
        own = super().loss(levels, batch_data_samples)  # type: ignore[misc]
        losses = {name: scale_gradient(value, share) if 'loss' in name else value for name, value in own.items()}
        presence = F.binary_cross_entropy_with_logits(logits, truth)
        return {**losses, 'loss_presence': self.presence_weight * presence}

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        levels = self.extract_feat(batch_inputs)
        present = self.presence_logits(levels, batch_data_samples) > 0
        found = super().predict(levels, batch_data_samples, rescale)  # type: ignore[misc]
        for sample, here in zip(found, present, strict=True):
            sample.pred_instances.scores = sample.pred_instances.scores * here
        return found


def scale_gradient(loss: Tensor | list[Tensor], factor: float) -> Tensor | list[Tensor]:
    """Losses of the same values, with gradients `factor` times as large."""
    if isinstance(loss, list):
        return [scale_gradient(each, factor) for each in loss]
    return loss.detach() + factor * (loss - loss.detach())


@MODELS.register_module()
class PresenceCascadeRCNN(TellsPresence, CascadeRCNN):
    """SDANet of two stages: mmdetection's `CascadeRCNN`, and whether the image holds anything."""


@MODELS.register_module()
class PresenceDDOD(TellsPresence, DDOD):
    """SDANet of one stage: mmdetection's `DDOD`, and whether the image holds anything."""
