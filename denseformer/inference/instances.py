"""The instances in an image, and those of overlapping tiles as the image's.

Legend: H W image, h w tile, n instances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as rle

SAME = 0.5
"""Instances of neighboring tiles are one when they agree by so much."""
NEAR = 4
"""An instance that ends so many pixels from a border that its tile does not share with the image may be cut there."""
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
class TileInstances:
    """The instances found in a tile, in the image's coordinates; seen: (4,) left, top, right, bottom of the tile."""

    seen: np.ndarray
    found: Instances


def encoded(mask: Any) -> Mask:
    """A mask (H, W) of a model that gives them as tensors or arrays, run-length encoded."""
    return rle.encode(np.asfortranarray(np.asarray(mask), dtype=np.uint8))


def moved(found: Instances, x: int, y: int, size: tuple[int, int]) -> Instances:
    """Instances of a tile at (x, y) as those of an image (H, W)."""
    masks = None if found.masks is None else [placed(mask, x, y, size) for mask in found.masks]
    boxes = found.boxes + np.array([x, y, x, y], found.boxes.dtype)
    return Instances(boxes, found.scores, found.labels, masks)


def placed(mask: Mask, x: int, y: int, size: tuple[int, int]) -> Mask:
    """A tile's mask as that of an image (H, W), of which the tile begins at (x, y): its runs are moved."""
    H, W = size
    columns = np.pad(rle.decode(mask).T, ((0, 0), (1, 1))).astype(np.int8)  # (w, h + 2)
    steps = np.diff(columns)  # (w, h + 1)
    starts, ends = (((np.argwhere(steps == step) + np.array([x, y])) @ (H, 1)) for step in (1, -1))
    edges = np.setxor1d(starts, ends, assume_unique=True)  # without those of runs that go on in the next column
    counts = np.diff(edges, prepend=0, append=H * W)
    counts = counts if counts[-1] else counts[:-1]
    return rle.frPyObjects({'size': [H, W], 'counts': counts.tolist()}, H, W)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The instances of all tiles, best first.

    found: in the image's coordinates; tile: (n,) the tile of each; seen: (n, 4) left, top, right, bottom of that tile;
    cut: (n,) bool, whether its tile's border may have cut it.
    """

    found: Instances
    tile: np.ndarray
    seen: np.ndarray
    cut: np.ndarray

    def __len__(self) -> int:
        return len(self.found)


def merge_tiles(tiles: Sequence[TileInstances]) -> Instances:
    """The instances of overlapping tiles: those that several tiles see, or a border cuts, become one.

    Instances are one when they are of the same class and of different tiles, and agree in the part that both tiles see;
    so an instance that crosses many tiles is put together pair by pair. It has the largest score, and the box around
    the boxes and the union of the masks of those that no border cuts, or of all.
    """
    candidates = candidates_of(tiles)
    found, groups = candidates.found, groups_of(candidates)
    members = [[i for i in group if not candidates.cut[i]] or group for group in groups]
    boxes = [np.concatenate([found.boxes[group, :2].min(0), found.boxes[group, 2:].max(0)]) for group in members]
    masks = found.masks
    if masks is not None:
        masks = [rle.merge([masks[i] for i in group]) for group in members]
    best = [group[0] for group in groups]
    return Instances(np.array(boxes, found.boxes.dtype).reshape(-1, 4), found.scores[best], found.labels[best], masks)


def candidates_of(tiles: Sequence[TileInstances]) -> Candidates:
    """The instances of all tiles, sorted by score."""
    found = [tile.found for tile in tiles]
    best_first = np.argsort(-np.concatenate([part.scores for part in found]), kind='stable')
    tile = np.repeat(np.arange(len(found)), [len(part) for part in found])[best_first]
    boxes, scores, labels = (
        np.concatenate([getattr(part, name) for part in found])[best_first] for name in ('boxes', 'scores', 'labels')
    )
    masks = None
    if all(part.masks is not None for part in found):
        encodings = [mask for part in found for mask in part.masks or ()]
        masks = [encodings[i] for i in best_first]
    parts = np.stack([tile.seen for tile in tiles])  # (tiles, 4)
    inner = parts != np.concatenate([parts[:, :2].min(0), parts[:, 2:].max(0)])  # sides that are not the image's
    cut = ((np.abs(boxes - parts[tile]) <= NEAR) & inner[tile]).any(1)
    return Candidates(Instances(boxes, scores, labels, masks), tile, parts[tile], cut)


def groups_of(candidates: Candidates) -> list[list[int]]:
    """The candidates that are one instance, each group ascending, the groups by their best member."""
    boxes, labels = candidates.found.boxes, candidates.found.labels
    tile, seen, cut = candidates.tile, candidates.seen, candidates.cut
    groups: dict[int, list[int]] = {}  # by their best member
    group_of = np.full(len(candidates), -1)
    for i in range(len(candidates)):
        others = np.flatnonzero((group_of >= 0) & (labels == labels[i]))
        share = agreement(boxes[i], seen[i], cut[i], boxes[others], seen[others], cut[others])
        group = [i]
        for other in dict.fromkeys(group_of[others[j]] for j in np.argsort(-share) if share[j] >= SAME):
            if not np.isin(tile[group], tile[groups[other]]).any():
                group += groups.pop(other)
        groups[min(group)] = sorted(group)
        group_of[group] = min(group)
    return [groups[best] for best in sorted(groups)]


def agreement(
    box: np.ndarray, seen: np.ndarray, cut: bool, boxes: np.ndarray, seen_by: np.ndarray, are_cut: np.ndarray
) -> np.ndarray:
    """Agreement of a tile's box (4,) with others (n, 4) in the part that both tiles see: (n,) in [0, 1].

    It is the intersection over union; for a box that may be cut the intersection over its own area, as the box around a
    part of an object is a guess.
    """
    common = intersection(seen, seen_by)
    box, boxes = intersection(box, common), intersection(boxes, common)
    both, one, other = area(intersection(box, boxes)), area(box), area(boxes)
    whole = one + other - both
    whole = np.minimum(whole, np.where(cut, one, whole))
    whole = np.minimum(whole, np.where(are_cut, other, whole))
    return np.divide(both, whole, out=np.zeros_like(whole), where=whole > 0)


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The intersections of boxes (..., 4); right lies left of left where there is none."""
    return np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], -1)


def area(boxes: np.ndarray) -> np.ndarray:
    """The areas of boxes (..., 4), 0 for an empty one."""
    return (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(-1)
