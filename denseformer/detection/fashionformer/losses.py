"""Matching and losses of FashionFormer.

One query is matched with each object, by what the stage before predicted: its masks, doubled, and its classes if it has
any. Masks are compared at half the size of the finest level, with objects that are resized bilinearly, fractions and
all.

Legend: Q queries, K classes, A attributes, G objects of an image, n matched queries of a batch, h w doubled masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from denseformer.ops.focal_loss import sigmoid_focal_loss

MASK, DICE, CLASS, ATTRIBUTE, SEMANTIC = 1.0, 4.0, 2.0, 2.0, 1.0
"""Weights of the losses; the first three are those of the matching, too."""
ALPHA, GAMMA = 0.25, 2.0
SMALL = 1e-3


@dataclass
class Objects:
    """Objects of an image: labels (G,), masks (G, h, w) in 0 .. 1, attributes (G, A) of 0 and 1, or None."""

    labels: Tensor
    masks: Tensor
    attributes: Tensor | None


@dataclass
class Matches:
    """The matched queries of a batch: images and queries (n,), and the labels, masks and attributes that are true."""

    images: Tensor
    queries: Tensor
    labels: Tensor
    masks: Tensor
    attributes: Tensor | None


@torch.no_grad()
def match(masks: Tensor, classes: Tensor | None, objects: Objects) -> tuple[Tensor, Tensor]:
    """Queries, ascending, and the objects that they belong to, (n,) each.

    masks: (Q, h, w); classes: (Q, K), both before the sigmoid.
    """
    found, truth = masks.float().sigmoid().flatten(1), objects.masks.flatten(1).float()  # (Q, P), (G, P)
    both = found @ truth.T  # (Q, G)
    likeness = 2 * both / (found.square().sum(1)[:, None] + truth.square().sum(1) + 2 * SMALL)
    agreement = 1 + (2 * both - found.sum(1)[:, None] - truth.sum(1)) / found.shape[1]  # the mean of pt + (1-p)(1-t)
    cost = -MASK * agreement - DICE * likeness
    if classes is not None:
        chance = classes.float().sigmoid().clamp(1e-12, 1 - 1e-7)[:, objects.labels]
        right = -ALPHA * (1 - chance) ** GAMMA * chance.log()
        wrong = -(1 - ALPHA) * chance**GAMMA * (1 - chance).log()
        cost = cost + CLASS * (right - wrong)
    queries, which = linear_sum_assignment(cost.nan_to_num(1e6, 1e6, -1e6).cpu())
    return torch.from_numpy(queries).to(masks.device), torch.from_numpy(which).to(masks.device)


def match_batch(masks: Tensor, classes: Tensor | None, truth: Sequence[Objects]) -> Matches:
    """masks: (B, Q, h, w); classes: (B, Q, K) or None, of the stage before."""
    rows = classes if classes is not None else [None] * len(masks)
    pairs = [match(*each) for each in zip(masks, rows, truth, strict=True)]
    images = torch.cat([torch.full_like(queries, i) for i, (queries, _) in enumerate(pairs)])
    told = [(objects.attributes, which) for objects, (_, which) in zip(truth, pairs, strict=True)]
    described = [attributes[which] for attributes, which in told if attributes is not None]
    attributes = torch.cat(described) if len(described) == len(truth) else None
    return Matches(
        images,
        torch.cat([queries for queries, _ in pairs]),
        torch.cat([objects.labels[which] for objects, (_, which) in zip(truth, pairs, strict=True)]),
        torch.cat([objects.masks[which] for objects, (_, which) in zip(truth, pairs, strict=True)]),
        attributes,
    )


def mask_losses(masks: Tensor, matches: Matches) -> dict[str, Tensor]:
    """Cross entropy of pixels, and dice with squares, of the matched masks among (B, Q, h, w); 0 without any."""
    if not len(matches.queries):
        return {'mask': 0 * masks.sum(), 'dice': 0 * masks.sum()}
    chosen, truth = masks[matches.images, matches.queries], matches.masks.to(masks)  # (n, h, w)
    found = chosen.sigmoid()
    both = (found * truth).sum((1, 2))
    dice = 1 - 2 * both / (found.square().sum((1, 2)) + truth.square().sum((1, 2)) + 2 * SMALL)
    return {'mask': MASK * F.binary_cross_entropy_with_logits(chosen, truth), 'dice': DICE * dice.mean()}


def class_loss(classes: Tensor, matches: Matches, count: Tensor) -> Tensor:
    """Focal loss of (B, Q, K), where queries without object have no class; count: what it is divided by."""
    labels = torch.full(classes.shape[:2], classes.shape[2], device=classes.device)
    labels[matches.images, matches.queries] = matches.labels
    losses = sigmoid_focal_loss(classes.flatten(0, 1), labels.flatten(), gamma=GAMMA, alpha=ALPHA)
    return CLASS * losses.sum() / count


def attribute_loss(attributes: Tensor, matches: Matches) -> Tensor:
    """Cross entropy of each attribute of the matched queries among (B, Q, A)."""
    if not len(matches.queries):
        return 0 * attributes.sum()
    assert matches.attributes is not None
    chosen = attributes[matches.images, matches.queries]  # (n, A)
    return ATTRIBUTE * F.binary_cross_entropy_with_logits(chosen, matches.attributes.to(chosen))


def semantic_loss(semantic: Tensor, truth: Sequence[Objects]) -> Tensor:
    """Focal loss of pixels (B, K, h, w) per pixel of an object; a later object covers those before it."""
    K = semantic.shape[1]
    labels = torch.full((len(truth), *semantic.shape[2:]), K, device=semantic.device)
    for row, objects in zip(labels, truth, strict=True):
        for label, mask in zip(objects.labels, objects.masks, strict=True):
            row[mask > 0] = label
    losses = sigmoid_focal_loss(semantic.movedim(1, -1).reshape(-1, K), labels.flatten(), gamma=GAMMA, alpha=ALPHA)
    return SEMANTIC * losses.sum() / (labels < K).sum().clamp(min=1)
