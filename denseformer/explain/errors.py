"""Kinds of error: of objects, of pixels near boundaries and inside, and of restored images.

Legend: H W map, m found objects, n true ones, T thresholds of overlap, C channels.
"""

import cv2
import numpy as np

OVERLAP, NEAR = 0.5, 0.1
"""Intersection over union from which two objects are one, and from which one is a misplaced other."""
OVERLAPS = np.linspace(0.5, 0.95, 10)
"""COCO's."""
KINDS = ('right', 'wrong class', 'wrong place', 'twice', 'extra', 'ignored')
RIGHT, WRONG_CLASS, WRONG_PLACE, TWICE, EXTRA, IGNORED = range(6)


def match_objects(
    overlaps: np.ndarray, found: np.ndarray, true: np.ndarray, ignored: np.ndarray, thresholds: np.ndarray = OVERLAPS
) -> tuple[np.ndarray, np.ndarray]:
    """Match found objects, the most certain first, with free true ones of their class, as COCO does: two (m, T) bool.

    overlaps: (m, n) intersection over union, over the found object's own area for an ignored one; found, true: labels
    (m,) and (n,); ignored: (n,) bool, whose matches count neither as right nor as wrong. Returns what is right, and
    what lies on an ignored object.
    """
    right, aside = (np.zeros((len(found), len(thresholds)), bool) for _ in range(2))
    free = np.ones((len(thresholds), len(true)), bool)
    rows = np.arange(len(thresholds))
    for i, label in enumerate(found):
        same = true == label
        candidates = np.where(free & (same & ~ignored), overlaps[i], -1.0)  # (T, n)
        if candidates.size:
            best = candidates.argmax(1)
            right[i] = candidates[rows, best] >= thresholds
            free[rows[right[i]], best[right[i]]] = False
            on_ignored = np.where(same & ignored, overlaps[i], -1.0).max()
            aside[i] = ~right[i] & (on_ignored >= thresholds)
    return right, aside


def kinds_of_error(
    overlaps: np.ndarray, found: np.ndarray, true: np.ndarray, ignored: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The kinds of found objects (m,), numbers in `KINDS`, and whether true ones are missed (n,) bool.

    Arguments are those of `match_objects`. Near a true object one of another class has the wrong class, one of the same
    class that overlaps it too little the wrong place, and a second one is found twice; what is near nothing is extra.
    A true object is missed where nothing is right about it and nothing found is a mistaken version of it.
    """
    right, aside = (part[:, 0] for part in match_objects(overlaps, found, true, ignored, np.array([OVERLAP])))
    kinds = np.full(len(found), EXTRA)
    if not len(true) or not len(found):
        return kinds, ~ignored
    same = found[:, None] == true
    known = ~ignored
    near_same = np.where(same & known, overlaps, 0)
    near_other = np.where(~same & known, overlaps, 0)
    kinds[near_same.max(1) >= NEAR] = WRONG_PLACE
    kinds[(near_other.max(1) >= OVERLAP) & (near_other.max(1) >= near_same.max(1))] = WRONG_CLASS
    kinds[near_same.max(1) >= OVERLAP] = TWICE
    kinds[(kinds == EXTRA) & ((overlaps >= OVERLAP) & ignored).any(1)] = IGNORED
    kinds[aside] = IGNORED
    kinds[right] = RIGHT
    mistaken = ((kinds == WRONG_PLACE)[:, None] & (near_same >= NEAR)).any(0)
    mistaken |= ((kinds == WRONG_CLASS)[:, None] & (near_other >= OVERLAP)).any(0)
    taken = ((kinds == RIGHT)[:, None] & (near_same >= OVERLAP)).any(0)
    return kinds, known & ~taken & ~mistaken


def boundary_band(labels: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels within 0.75 % of the diagonal of a change of class, at least the two that touch."""
    edge = np.zeros(labels.shape, np.uint8)
    across, down = labels[:, :-1] != labels[:, 1:], labels[:-1] != labels[1:]
    edge[:, :-1] |= across
    edge[:, 1:] |= across
    edge[:-1] |= down
    edge[1:] |= down
    reach = max(1, round(0.0075 * float(np.hypot(*labels.shape))))
    return cv2.dilate(edge, np.ones((2 * reach - 1, 2 * reach - 1), np.uint8)).astype(bool)


def error_map(restored: np.ndarray, target: np.ndarray) -> np.ndarray:
    """PSNR of 7 x 7 pixels around each, in dB, at most 60: images (H, W, C) in 0 .. 1 -> (H, W)."""
    error = cv2.blur(np.square(restored - target).mean(2), (7, 7))
    return -10 * np.log10(np.maximum(error, 1e-6))


def detail_and_flat(restored: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """PSNR in dB over the quarter of pixels where the target changes most, and over the rest."""
    gray = target.mean(2).astype(np.float32)
    steep = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    detail = steep >= np.quantile(steep, 0.75)
    error = np.square(restored - target).mean(2)
    means = [float(error[part].mean()) if part.any() else np.nan for part in (detail, ~detail)]
    detailed, flat = (-10 * np.log10(max(mean, 1e-10)) for mean in means)
    return float(detailed), float(flat)
