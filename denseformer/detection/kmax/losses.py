"""Matching and losses of kMaX-DeepLab.

One query is matched with each segment, by the likeness of masks times the probability of the class; all layers share
the final layer's matching. Pixels belong to queries by a softmax, so masks do not overlap. Each loss is a mean over
what is not zero, image by image.

Legend: B batch, Q queries, K classes, G segments of an image, h w the size of the final masks, S sampled pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from denseformer.detection.kmax.network import Prediction

CLASS, MASK, DICE, PIXEL, SEMANTIC = 3.0, 0.3, 3.0, 1.0, 1.0
"""Weights of the losses."""
OBJECT, NOTHING = 0.75, 0.25
"""Weights of classes and of nothing in the class loss; the first scales the dice loss too."""
LEAST = 1e-5
"""The least weight of a matched query."""
LIKENESS = 0.3
"""The temperature of the likeness of pixels."""


@dataclass
class Segments:
    """Segments of an image: labels (G,), and masks (G, h, w), 0 or 1, at the size of the final masks."""

    labels: Tensor
    masks: Tensor


@dataclass
class Targets:
    """The truth that the losses of a batch compare with.

    labels: (B, Q), K for nothing; masks: (B, Q, h, w), pixels in several segments in equal parts; class_weight and
    mask_weight: (B, Q); void: (B, h, w), pixels in no segment; rarity: (B, h, w), the inverse of the share of the image
    that a pixel's segment has.
    """

    labels: Tensor
    masks: Tensor
    class_weight: Tensor
    mask_weight: Tensor
    void: Tensor
    rarity: Tensor


@torch.no_grad()
def match(scores: Tensor, masks: Tensor, segments: Segments) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries (n,) and segments (n,) that belong together, the likeness of their masks, and the classes' probability.

    scores: (Q, K + 1); masks: (Q, h, w), before the softmax.
    """
    truth = segments.masks.flatten(1).float()  # (G, h*w)
    found = masks.softmax(0).flatten(1) * (truth.sum(0) > 0)
    likeness = 2 * found @ truth.T / (found.sum(1)[:, None] + truth.sum(1) + 2e-5)  # (Q, G)
    chance = scores.softmax(-1)[:, segments.labels]
    queries, which = (
        torch.from_numpy(index).to(masks.device) for index in linear_sum_assignment((-likeness * chance).cpu())
    )
    return queries, which, likeness[queries, which], chance[queries, which]


@torch.no_grad()
def make_targets(final: Prediction, truth: Sequence[Segments]) -> Targets:
    """The targets of all layers from the matching of the `final` prediction."""
    B, Q, h, w = final.masks.shape
    nothing = final.scores.shape[-1] - 1
    labels = final.scores.new_full((B, Q), nothing, dtype=torch.long)
    masks, mask_weight = torch.zeros_like(final.masks), final.masks.new_zeros(B, Q)
    pairs = [match(*each) for each in zip(final.scores, final.masks, truth, strict=True)]
    for b, (queries, which, _, chance) in enumerate(pairs):
        labels[b, queries] = truth[b].labels[which]
        masks[b, queries] = truth[b].masks[which].to(masks)
        mask_weight[b, queries] = chance.clamp(min=LEAST)
    masks = masks / masks.sum(1, keepdim=True).clamp(min=1)
    void = masks.sum(1) < 1
    found = final.masks.softmax(1)
    class_weight = (found * void[:, None]).sum((2, 3)) / (found.sum((2, 3)) + 1e-5)
    for b, (queries, _, likeness, _) in enumerate(pairs):
        class_weight[b, queries] = likeness
    area = torch.einsum('bqhw,bq->bhw', masks, masks.sum((2, 3)))
    return Targets(labels, masks, class_weight.clamp(min=LEAST), mask_weight, void, h * w / area.clamp(min=1))


def mean_of_nonzero(loss: Tensor) -> Tensor:
    """(B, n) -> the mean over images of the means of what is not zero."""
    return (loss.sum(1) / (loss != 0).sum(1).clamp(min=1)).mean()


def class_loss(scores: Tensor, targets: Targets) -> Tensor:
    nothing = targets.labels == scores.shape[-1] - 1
    weight = torch.where(nothing, NOTHING, OBJECT) * targets.class_weight
    return mean_of_nonzero(weight * F.cross_entropy(scores.transpose(1, 2), targets.labels, reduction='none'))


def mask_loss(masks: Tensor, targets: Targets) -> Tensor:
    loss = F.cross_entropy(masks.flatten(2), targets.masks.flatten(2), reduction='none')  # (B, h*w)
    return mean_of_nonzero(loss.masked_fill(targets.void.flatten(1), 0))


def dice_loss(masks: Tensor, targets: Targets) -> Tensor:
    found = masks.softmax(1).masked_fill(targets.void[:, None], 0)
    both = (found * targets.masks).sum((2, 3))
    dice = 1 - (2 * both + 1) / (found.sum((2, 3)) + targets.masks.sum((2, 3)) + 1)
    return OBJECT * (dice * targets.mask_weight).mean(1).mean()


def sample(targets: Targets, temperature: float, count: int) -> Tensor:
    """Pixels (B, S) drawn without repetition, those of small segments rather, those of none last."""
    logits = temperature * targets.rarity.flatten(1).log() - 99999.0 * targets.void.flatten(1)
    gumbel = -torch.log(-torch.log(torch.rand_like(logits).clamp(min=1e-20)))
    return (logits + gumbel).topk(min(count, logits.shape[1]), sorted=False).indices


def pixel_loss(pixels: Tensor, targets: Targets, temperature: float, count: int) -> Tensor:
    """Pixels of one segment are alike, and unlike those of others."""
    chosen = sample(targets, temperature, count)[:, None]  # (B, 1, S)
    truth = targets.masks.flatten(2).gather(2, chosen.expand(-1, targets.masks.shape[1], -1))  # (B, Q, S)
    same = truth.transpose(1, 2) @ truth  # (B, S, S)
    same = same / same.sum(1, keepdim=True).clamp(min=1)
    pixels = pixels.flatten(2).gather(2, chosen.expand(-1, pixels.shape[1], -1))
    return mean_of_nonzero(F.cross_entropy(pixels.transpose(1, 2) @ pixels / LIKENESS, same, reduction='none'))


def semantic_loss(scores: Tensor, labels: Tensor, chosen: Tensor | None, ignored: int) -> Tensor:
    """scores: (B, K or K + 1, h', w'); labels: (B, h', w'); chosen: pixels (B, S), None for all."""
    scores, labels = scores.flatten(2), labels.flatten(1)
    if chosen is not None:
        scores = scores.gather(2, chosen[:, None].expand(-1, scores.shape[1], -1))
        labels = labels.gather(1, chosen)
    return mean_of_nonzero(F.cross_entropy(scores, labels, ignore_index=ignored, reduction='none'))


def subsampled(x: Tensor, size: Sequence[int]) -> Tensor:
    """The pixels of an image that lie under those of a map, of the last two axes: (..., H, W) -> (..., h, w).

    They lie as `network.resized` has it: with an odd side corners lie on corners, else a pixel of the map lies in the
    middle of those that it covers, of which there is an even number: the one before the middle is taken.
    """
    odd = x.shape[-1] % 2 == 1
    for axis, length in zip((-2, -1), size, strict=True):
        side = x.shape[axis]
        step = max(round(side / length), 1)
        first = 0 if odd else (step - 1) // 2
        places = (first + torch.arange(length, device=x.device) * step).clamp(max=side - 1)
        x = x.index_select(axis, places)
    return x


def label_map(segments: Segments, nothing: int) -> Tensor:
    """(h, w) classes of pixels, `nothing` where there is no segment."""
    labels = torch.full(segments.masks.shape[1:], nothing, device=segments.labels.device)
    for label, mask in zip(segments.labels, segments.masks, strict=True):
        labels[mask > 0] = label
    return labels
