"""The instances in an image, and those of overlapping windows as the image's.

Legend: H W image, h w window, n instances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as rle

SAME = 0.5
"""Instances of neighbouring windows are one when they agree by so much."""
NEAR = 4
"""An instance that ends so many pixels from a border that its window does not share with the image may be cut there."""
Mask = dict[str, Any]
"""COCO's run-length encoding, column by column: {'size': [H, W], 'counts': bytes}."""


@dataclass(frozen=True, eq=False)
class Instances:
    """boxes: (n, 4) left, top, right, bottom in pixels; scores: (n,); labels: (n,) class indices; masks: n, or None."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: list[Mask] | None

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class Window:
    """What was found in a part of an image; seen: (4,) left, top, right, bottom of the part."""

    seen: np.ndarray
    found: Instances


def encoded(mask: Any) -> Mask:
    """A mask (H, W) of a model that gives them as tensors or arrays, run-length encoded."""
    return rle.encode(np.asfortranarray(np.asarray(mask), dtype=np.uint8))


def moved(found: Instances, x: int, y: int, size: tuple[int, int]) -> Instances:
    """Instances of a window at (x, y) as those of an image (H, W)."""
    masks = None if found.masks is None else [placed(mask, x, y, size) for mask in found.masks]
    boxes = found.boxes + np.array([x, y, x, y], found.boxes.dtype)
    return Instances(boxes, found.scores, found.labels, masks)


def placed(mask: Mask, x: int, y: int, size: tuple[int, int]) -> Mask:
    """A window's mask as that of an image (H, W), of which the window begins at (x, y): its runs are moved."""
    H, W = size
    columns = np.pad(rle.decode(mask).T, ((0, 0), (1, 1))).astype(np.int8)  # (w, h + 2)
    steps = np.diff(columns)  # (w, h + 1)
    starts, ends = (((np.argwhere(steps == step) + np.array([x, y])) @ (H, 1)) for step in (1, -1))
    edges = np.setxor1d(starts, ends, assume_unique=True)  # without those of runs that go on in the next column
    counts = np.diff(edges, prepend=0, append=H * W)
    counts = counts if counts[-1] else counts[:-1]
    return rle.frPyObjects({'size': [H, W], 'counts': counts.tolist()}, H, W)


def merged(windows: Sequence[Window]) -> Instances:
    """The instances of overlapping windows: what several see, or a border cuts, is one.

    Instances are one when they are of the same class and of different windows, and agree in what both windows see; so
    an instance that crosses many windows is put together pair by pair. It has the largest score, and the box around the
    boxes and the union of the masks of those that no border cuts, or of all.
    """
    found = [window.found for window in windows]
    origin = np.repeat(np.arange(len(found)), [len(part) for part in found])
    best_first = np.argsort(-np.concatenate([part.scores for part in found]), kind='stable')
    boxes, scores, labels = (
        np.concatenate([getattr(part, name) for part in found])[best_first] for name in ('boxes', 'scores', 'labels')
    )
    origin = origin[best_first]
    parts = np.stack([window.seen for window in windows])  # (windows, 4)
    inner = parts != np.concatenate([parts[:, :2].min(0), parts[:, 2:].max(0)])  # sides that are not the image's
    seen = parts[origin]  # (n, 4)
    cut = ((np.abs(boxes - seen) <= NEAR) & inner[origin]).any(1)
    groups: dict[int, list[int]] = {}  # by their best member
    group_of = np.full(len(boxes), -1)
    for i in range(len(boxes)):
        others = np.flatnonzero((group_of >= 0) & (labels == labels[i]))
        share = agreement(boxes[i], seen[i], cut[i], boxes[others], seen[others], cut[others])
        group = [i]
        for other in dict.fromkeys(group_of[others[j]] for j in np.argsort(-share) if share[j] >= SAME):
            if not np.isin(origin[group], origin[groups[other]]).any():
                group += groups.pop(other)
        groups[min(group)] = group
        group_of[group] = min(group)
    first = sorted(groups)
    members = [[j for j in groups[i] if not cut[j]] or groups[i] for i in first]
    whole = [np.concatenate([boxes[group, :2].min(0), boxes[group, 2:].max(0)]) for group in members]
    masks = None
    if all(part.masks is not None for part in found):
        encodings = [mask for part in found for mask in part.masks or ()]
        masks = [rle.merge([encodings[best_first[j]] for j in group]) for group in members]
    return Instances(np.array(whole, boxes.dtype).reshape(-1, 4), scores[first], labels[first], masks)


def agreement(
    box: np.ndarray, seen: np.ndarray, cut: bool, boxes: np.ndarray, seen_by: np.ndarray, are_cut: np.ndarray
) -> np.ndarray:
    """How much of a window's box, (4,), is that of each of others, (n, 4), in what both windows see: (n,), 0 .. 1.

    It is the share of the union that the boxes have in common; for one that may be cut its own share, as the box around
    a part of an object is a guess.
    """
    common = intersection(seen, seen_by)
    box, boxes = intersection(box, common), intersection(boxes, common)
    both, one, other = area(intersection(box, boxes)), area(box), area(boxes)
    whole = one + other - both
    whole = np.minimum(whole, np.where(cut, one, whole))
    whole = np.minimum(whole, np.where(are_cut, other, whole))
    return np.divide(both, whole, out=np.zeros_like(whole), where=whole > 0)


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of boxes (..., 4); right lies left of left where there is none."""
    return np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], -1)


def area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(-1)
