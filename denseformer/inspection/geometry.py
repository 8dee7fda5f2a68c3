"""Hints of wrong labels from their shapes: specks, holes, slivers, boxes that do not fit their masks.

Legend: H W map or image, n objects.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

IGNORED = 255
"""The label of pixels that do not count."""
RING = np.pad(np.zeros((3, 3), np.uint8), 1, constant_values=1)
"""The 16 pixels around a square of 3 x 3."""
SPECK = 9
"""Pixels up to which a part of an object, or a hole in it, is a slip of the tool rather than a shape."""
LEAST_SPECKS = 3
"""Specks of a label map, below which it may show what is half hidden."""
STRIPS, LEAST_STRIPS = 0.2, 30
"""Share and number of border pixels in strips of a third class, from which a map seems to be interpolated."""
LONG = 12
"""Pixels of the longer side from which an object that is nowhere wider than two is a sliver."""
FIT, SLACK = 0.7, 3.0
"""Overlap (IoU) of a box and its mask's bounds, below which they do not fit; and pixels by which any may differ."""


def count_specks(labels: np.ndarray) -> int:
    """Specks and holes of at most 3 x 3 pixels within one label, in a map (H, W) of at most 256 values; 0 for few."""
    labels = np.ascontiguousarray(labels, np.uint8)
    around = cv2.erode(labels, RING)
    specks = (around == cv2.dilate(labels, RING)) & (around != labels)
    count = cv2.connectedComponents(specks.astype(np.uint8), connectivity=8)[0] - 1 if specks.any() else 0
    return count if count >= LEAST_SPECKS else 0


def strips_of(labels: np.ndarray) -> int:
    """Border pixels of a map (H, W) in strips, one wide, of a third label between two; 0 where few borders have some.

    Interpolated and JPEG-compressed maps are full of them.
    """
    strips, borders = np.sum([count_strips(part) for part in (labels, labels.T)], 0)
    return int(strips) if strips >= max(LEAST_STRIPS, STRIPS * borders) else 0


def count_strips(labels: np.ndarray) -> tuple[int, int]:
    """(pixels whose left and right neighbors are of two other labels, pixels at borders) along the rows of a map."""
    left, here, right = labels[:, :-2], labels[:, 1:-1], labels[:, 2:]
    before, after = left != here, here != right
    both = before & after & (left != right) & (here != IGNORED)
    return int(np.count_nonzero(both)), int(np.count_nonzero(before))


def object_hints(masks: np.ndarray, boxes: np.ndarray, names: Sequence[str]) -> Iterator[str]:
    """Doubts about objects: masks (n, H, W) uint8, boxes (n, 4) left, top, right, bottom, names of classes."""
    for number, (mask, box, name) in enumerate(zip(masks, boxes, names, strict=True)):
        x, y, width, height = cv2.boundingRect(mask)
        if not width:
            continue  # empty, which the loading transform ignores
        where = f"'{name}' at {x}, {y}"
        bounds = np.array([x, y, x + width, y + height], float)
        if np.abs(bounds - box).max() > SLACK and overlap(bounds, box) < FIT:
            said = ', '.join(f'{value:.0f}' for value in box)
            yield f'{where}: its box {said} does not fit its mask, which reaches to {x + width}, {y + height}'
        crop = np.pad(mask[y : y + height, x : x + width], 1)
        few = cv2.countNonZero(crop) <= 2 * max(width, height)
        if few and max(width, height) >= LONG and not cv2.erode(crop, np.ones((3, 3), np.uint8)).any():
            yield f'{where}: is a sliver, nowhere wider than two pixels'
            continue
        for part, what, joined in ((crop, 'parts', 8), (1 - crop, 'holes', 4)):
            count, numbers, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=joined)
            small = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] <= SPECK and count > 2]
            if small:
                covered = others(masks, number, x - 1, y - 1, crop.shape)
                alone = sum(
                    not (cv2.dilate((numbers == i).astype(np.uint8), np.ones((3, 3))) & covered).any() for i in small
                )
                if alone:
                    yield f'{where}: has {alone} {what} of at most {SPECK} pixels'


def others(masks: np.ndarray, number: int, left: int, top: int, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w) uint8: where, in a part of the image, an object may be cut off, by other objects or the image's border."""
    height, width = masks.shape[1:]
    cut = np.ones(shape, np.uint8)
    inner = slice(max(top, 0), min(top + shape[0], height)), slice(max(left, 0), min(left + shape[1], width))
    taken = masks[(np.arange(len(masks)) != number, *inner)].any(0)
    cut[inner[0].start - top : inner[0].stop - top, inner[1].start - left : inner[1].stop - left] = taken
    return cut


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes (4,)."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = float(np.prod(sides.clip(0)))
    return shared / max(float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2])) - shared, 1e-9)
