"""The instances in an image, and those of several views of it, overlapping tiles or mirrored copies, as the image's.

Legend: H W image, h w tile, n instances.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools import mask as rle

SAME = 0.5
"""Instances of neighboring tiles are one when they agree by so much."""
INSIDE = 0.7
"""Share of a part cut by a border that a whole instance must cover to absorb it."""
NEAR = 4
"""An instance that ends so many pixels from a border that its tile does not share with the image may be cut there,"""
NEAR_SHARE = 0.05
"""or so large a share of its own side, as detectors place the sides of large boxes less exactly."""
TINY = 1e-6
"""Added to scores that weight a mean, which may all be 0."""
Mask = dict[str, Any]
"""COCO's run-length encoding, column by column: {'size': [H, W], 'counts': bytes}."""


@dataclass(frozen=True, eq=False)
class Instances:
    """boxes: (n, 4) left, top, right, bottom in pixels; scores: (n,); labels: (n,) class indices; masks: n, or None;
    attributes: (n, A) probabilities, of models that tell what objects are like."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: list[Mask] | None
    attributes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: np.ndarray) -> 'Instances':
        """The instances at these indices."""
        masks = None if self.masks is None else [self.masks[i] for i in chosen]
        attributes = None if self.attributes is None else self.attributes[chosen]
        return Instances(self.boxes[chosen], self.scores[chosen], self.labels[chosen], masks, attributes)


@dataclass(frozen=True, eq=False)
class View:
    """The instances found in a view, in the image's coordinates; seen: (4,) left, top, right, bottom of its part."""

    seen: np.ndarray
    found: Instances


def encoded(mask: Any) -> Mask:
    """A mask (H, W) of a model that gives them as tensors or arrays, run-length encoded."""
    return rle.encode(np.asfortranarray(np.asarray(mask), dtype=np.uint8))


def moved(found: Instances, x: int, y: int, size: tuple[int, int]) -> Instances:
    """Instances of a tile at (x, y) as those of an image (H, W)."""
    masks = None if found.masks is None else [placed(mask, x, y, size) for mask in found.masks]
    boxes = found.boxes + np.array([x, y, x, y], found.boxes.dtype)
    return replace(found, boxes=boxes, masks=masks)


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


def merge_views(tiles: Sequence[View]) -> Instances:
    """The instances of an image in overlapping tiles, or in several copies, each once, best first.

    Below a tile stands for any view; one of the whole image has no border that cuts. Instances are one when they are of
    the same class and of different tiles, and agree in the part that both tiles see; so an instance that crosses many
    tiles is put together pair by pair. Of its members that no border cuts it has the mean of the boxes, weighted by
    score, and the best one's mask; where all are cut, the box around them and the union of their masks. Parts that a
    border cuts are left out where a whole instance of their class covers them.

    The score is the largest one times the share of tiles that found the instance, among those that see all of it: an
    error of the detector is not made twice as likely where it looks twice.
    """
    candidates = candidates_of(tiles)
    found, groups = candidates.found, groups_of(candidates)
    wholes = [[i for i in group if not candidates.cut[i]] for group in groups]
    boxes = [
        np.average(found.boxes[whole], 0, found.scores[whole].astype(float) + TINY)
        if whole
        else around(found.boxes[group])
        for group, whole in zip(groups, wholes, strict=True)
    ]
    masks = found.masks
    if masks is not None:
        masks = [
            masks[whole[0]] if whole else rle.merge([masks[i] for i in group])
            for group, whole in zip(groups, wholes, strict=True)
        ]
    best = [group[0] for group in groups]
    merged = replace(found[np.array(best, int)], boxes=np.array(boxes, found.boxes.dtype).reshape(-1, 4), masks=masks)
    is_whole = np.array([bool(whole) for whole in wholes], bool)
    shares = share_of_tiles(groups, merged.boxes, candidates, tiles).astype(found.scores.dtype)
    weighted = replace(merged, scores=merged.scores * shares)
    chosen = np.flatnonzero(~covered_parts(merged, is_whole))
    return weighted[chosen[np.argsort(-weighted.scores[chosen], kind='stable')]]


def around(boxes: np.ndarray) -> np.ndarray:
    """The box (4,) around boxes (n, 4)."""
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def covered_parts(merged: Instances, is_whole: np.ndarray) -> np.ndarray:
    """(n,) whether an instance is a part that a whole one of the same class covers."""
    covered = np.zeros(len(merged), bool)
    for i in np.flatnonzero(~is_whole):
        wholes = merged.boxes[is_whole & (merged.labels == merged.labels[i])]
        covered[i] = (area(intersection(merged.boxes[i], wholes)) >= INSIDE * area(merged.boxes[i])).any()
    return covered


def share_of_tiles(
    groups: Sequence[list[int]], boxes: np.ndarray, candidates: Candidates, tiles: Sequence[View]
) -> np.ndarray:
    """The share of tiles that found a group, out of these and all that see the whole of its box: (groups,)."""
    seen = np.stack([tile.seen for tile in tiles])
    shares = np.ones(len(groups))
    for i, group in enumerate(groups):
        found_by = np.isin(np.arange(len(tiles)), candidates.tile[group])
        whole = np.array([area(intersection(boxes[i], part)) >= area(boxes[i]) for part in seen])
        able = whole & ~are_cut(np.repeat(boxes[i : i + 1], len(tiles), 0), seen, seen)
        shares[i] = found_by.sum() / (found_by | able).sum()
    return shares


def candidates_of(tiles: Sequence[View]) -> Candidates:
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
    attributes = None
    if all(part.attributes is not None for part in found):
        attributes = np.concatenate([part.attributes for part in found])[best_first]
    parts = np.stack([tile.seen for tile in tiles])  # (tiles, 4)
    cut = are_cut(boxes, parts[tile], parts)
    return Candidates(Instances(boxes, scores, labels, masks, attributes), tile, parts[tile], cut)


def are_cut(boxes: np.ndarray, seen: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """(n,) whether a box (n, 4) ends near a border of the tile (n, 4) that saw it which is not the image's.

    tiles: (tiles, 4) all that the image is made of.
    """
    inner = seen != np.concatenate([tiles[:, :2].min(0), tiles[:, 2:].max(0)])  # sides that are not the image's
    near = np.maximum(NEAR, NEAR_SHARE * np.tile(boxes[:, 2:] - boxes[:, :2], 2))
    return ((np.abs(boxes - seen) <= near) & inner).any(1)


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
    box: np.ndarray, seen: np.ndarray, cut: bool, boxes: np.ndarray, seen_by: np.ndarray, others_cut: np.ndarray
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
    whole = np.minimum(whole, np.where(others_cut, other, whole))
    return np.divide(both, whole, out=np.zeros_like(whole), where=whole > 0)


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The intersections of boxes (..., 4); right lies left of left where there is none."""
    return np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], -1)


def area(boxes: np.ndarray) -> np.ndarray:
    """The areas of boxes (..., 4), 0 for an empty one."""
    return (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(-1)
