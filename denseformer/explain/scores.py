"""Precision, recall and thresholds per class, reliability of scores, and average precision of weighted images.

Legend: N images, K classes, m found objects in all images, T thresholds of overlap, R resamples, B bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 15
RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO reads the curve of precision."""
CHUNK = 2**22
"""Numbers that are held for a part of the resamples at once."""


@dataclass(frozen=True)
class Operating:
    """Precision, recall and F1 in 0 .. 1 of what is found at a score of at least `threshold`; nan without a truth."""

    threshold: float
    precision: float
    recall: float
    f1: float


def precision_recall_f1(confusion: np.ndarray) -> np.ndarray:
    """Counts (K, K) of true (rows) by found class -> (K, 3) in 0 .. 1; nan for a class that never occurs there."""
    right = np.diag(confusion).astype(float)
    return rates(right, confusion.sum(0) - right, confusion.sum(1) - right)


def rates(right: np.ndarray, extra: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """Counts of true positives, false positives and false negatives -> precision, recall and F1 in the last axis."""
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.stack(
            [right / (right + extra), right / (right + missed), 2 * right / (2 * right + extra + missed)], -1
        )


def best_of_objects(scores: np.ndarray, right: np.ndarray, total: int) -> Operating:
    """The threshold of the highest F1 over found objects: scores (m,), right (m,) bool, total to be found."""
    order = np.argsort(-scores, kind='stable')
    values, hits = scores[order], right[order].cumsum()
    last = np.append(values[1:] != values[:-1], True) if len(values) else np.zeros(0, bool)  # of equal scores
    return best_operating(values[last], hits[last], (np.arange(1, len(values) + 1) - hits)[last], total)


def best_of_histogram(positive: np.ndarray, negative: np.ndarray) -> Operating:
    """The threshold of the highest F1 over pixels, counted in B bins of scores 0 .. 1: the class (B,), others (B,)."""
    right, extra = positive[::-1].cumsum(), negative[::-1].cumsum()
    return best_operating(np.arange(len(positive))[::-1] / len(positive), right, extra, int(positive.sum()))


def best_operating(thresholds: np.ndarray, right: np.ndarray, extra: np.ndarray, total: int) -> Operating:
    """The one of the highest F1, of equal ones the highest threshold; thresholds fall."""
    if not total or not len(thresholds):
        return Operating(np.nan, np.nan, 0.0 if total else np.nan, 0.0 if total else np.nan)
    table = rates(right.astype(float), extra.astype(float), total - right.astype(float))
    best = int(np.nanargmax(np.where(np.isnan(table[:, 2]), -1, table[:, 2])))
    return Operating(float(thresholds[best]), *map(float, table[best]))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(bins, 3) over scores in 0 .. 1: how many, the sum of their scores, and how many of them are right."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    columns = (None, confidence, right.astype(float))
    return np.stack([np.bincount(place, weights, bins) for weights in columns], 1)


def calibration_error(table: np.ndarray) -> float:
    """Expected calibration error in 0 .. 1: the mean distance of score and share that is right, weighted by counts."""
    count = table[:, 0].sum()
    return float(np.abs(table[:, 1] - table[:, 2]).sum() / count) if count else np.nan


def weighted_miou(intersect: np.ndarray, union: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """mIoU in percent of images that count as often as their weights say: (N, K), (N, K), (R, N) -> (R,)."""
    both, either = weights @ intersect, weights @ union
    with np.errstate(invalid='ignore', divide='ignore'):
        return 100 * np.nanmean(both / either, 1)


def weighted_pq(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Panoptic quality in percent: (N, K, 4) sums of IoU, TP, FP, FN, and (R, N) weights -> (R,)."""
    iou, right, extra, missed = np.moveaxis(np.tensordot(weights, counts, 1), 2, 0)
    with np.errstate(invalid='ignore', divide='ignore'):
        return 100 * np.nanmean(iou / (right + (extra + missed) / 2), 1)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of (N,) under weights (R, N) -> (R,)."""
    return weights @ values / weights.sum(1)


def weighted_map(
    scores: np.ndarray,
    labels: np.ndarray,
    images: np.ndarray,
    right: np.ndarray,
    ignored: np.ndarray,
    totals: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """COCO's mean average precision in percent, over classes and T overlaps, of weighted images: (R,).

    scores, labels, images: (m,) of all found objects; right, ignored: (m, T) bool; totals: (N, K) objects to be found;
    weights: (R, N).
    """
    values = []
    for label in np.flatnonzero(totals.sum(0)):
        mine = np.flatnonzero(labels == label)
        mine = mine[np.argsort(-scores[mine], kind='stable')]
        counts = weights @ totals[:, label]
        values.append(average_precisions(right[mine], ignored[mine], images[mine], counts, weights))
    return 100 * np.nanmean(values, 0) if values else np.full(len(weights), np.nan)


def average_precisions(
    right: np.ndarray, ignored: np.ndarray, images: np.ndarray, totals: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The mean over T overlaps of one class's average precision: objects in the order of their scores, (m, T) -> (R,).

    totals: (R,) objects to be found; nan where there are none.
    """
    if not len(right):
        return np.where(totals > 0, 0.0, np.nan)
    means = []
    for part in np.array_split(np.arange(len(weights)), -(-len(weights) * len(right) // CHUNK)):
        counts, total = weights[part][:, images], totals[part, None]
        curves = [
            interpolated(counts * right[:, t], counts * ~(right[:, t] | ignored[:, t]), total)
            for t in range(right.shape[1])
        ]
        means.append(np.where(total[:, 0] > 0, np.mean(curves, 0), np.nan))
    return np.concatenate(means)


def interpolated(right: np.ndarray, wrong: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The mean of precision over COCO's 101 recalls: (R, m) weights of right and wrong objects, (R, 1) totals: (R,)."""
    hits = right.cumsum(1)
    recall = hits / np.maximum(total, 1)
    precision = hits / np.maximum(hits + wrong.cumsum(1), 1e-12)
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]  # the best at this recall or a higher one
    rows = 2.0 * np.arange(len(recall))[:, None]  # apart, so that one search serves all rows
    places = np.searchsorted((recall + rows).ravel(), (RECALLS + rows).ravel()).reshape(len(recall), -1)
    places -= recall.shape[1] * np.arange(len(recall))[:, None]
    padded = np.concatenate([precision, np.zeros((len(precision), 1))], 1)
    return np.take_along_axis(padded, np.minimum(places, recall.shape[1]), 1).mean(1)


def size_slices(areas: np.ndarray, found: np.ndarray, limits: Sequence[float]) -> list[tuple[int, float]]:
    """(how many, mean of `found`) of objects below, between and above the limits of area: (n,), (n,)."""
    group = np.digitize(areas, limits)
    return [
        (int((group == i).sum()), float(found[group == i].mean()) if (group == i).any() else np.nan)
        for i in range(len(limits) + 1)
    ]
