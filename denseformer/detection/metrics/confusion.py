"""The confusion matrix of a detector."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

OVERLAP = 0.5
"""Intersection over union from which two boxes are of one object."""


class ImageTruth(NamedTuple):
    """boxes: (n, 4) left, top, right, bottom; labels: (n,); ignored: (n,) bool, crowds and difficult ones."""

    boxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray


def count_confusions(truth: ImageTruth, found: Mapping[str, np.ndarray], classes: int, *, score: float) -> np.ndarray:
    """Confusion matrix of one image, (K + 1, K + 1): true class, K for nothing, by the class found, K for missed.

    Detections, the most certain first, are matched with the free true object they overlap most, whatever its class.
    A detection that lies for half of its area on an ignored object only is not counted.

    Args:
        found: bboxes (m, 4), labels (m,), scores (m,).
        score: objects that are less certain are left out.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    sure = np.flatnonzero(found['scores'] >= score)
    sure = sure[np.argsort(-found['scores'][sure], kind='stable')]
    overlaps = box_overlaps(found['bboxes'][sure], truth.boxes, truth.ignored)
    free = ~truth.ignored
    for label, row in zip(found['labels'][sure], overlaps, strict=True):
        candidates = np.where(free, row, 0)
        if candidates.size and candidates.max() >= OVERLAP:
            best = candidates.argmax()
            counts[truth.labels[best], label] += 1
            free[best] = False
        elif not (row[truth.ignored] >= OVERLAP).any():
            counts[classes, label] += 1
    np.add.at(counts, (truth.labels[free], classes), 1)
    return counts


def box_overlaps(boxes: np.ndarray, others: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """(m, 4) and (n, 4) -> (m, n) intersection over union; over the box's own area where the other is ignored."""
    if not len(boxes) or not len(others):
        return np.zeros((len(boxes), len(others)))
    flags = ignored.astype(np.uint8).tolist()
    return coco_mask.iou(with_sides(boxes), with_sides(others), flags)


def with_sides(boxes: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom -> left, top, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)
