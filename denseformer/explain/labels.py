"""Suspected errors of the labels: places where a good model is sure of something else.

C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", arXiv 1911.00068,
whose idea of comparing a class's probability with its mean over what is labelled so is taken up for regions and
objects: a class that the model knows badly everywhere is not suspicious in each of its places.

Legend: R regions or objects, K classes, H W map, m found objects, n true ones, N images.
"""

import cv2
import numpy as np

from denseformer.explain.errors import NEAR, OVERLAP

KINDS = ('another class', 'label missing', 'label of nothing', 'target does not fit')
OTHER_CLASS, MISSING, NOTHING, PAIR = range(4)
FEW = 100
"""Pixels of a region that count half."""
SHIFT = 2
"""Pixels by which a target may be displaced."""


def other_class(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How suspicious each label is, in -2 .. 2, and the class that stands against it: (R, K), (R,) -> (R,), (R,).

    Both classes' probabilities are compared with what the model mostly gives to places that are labelled so.
    """
    rows = np.arange(len(labels))
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, probabilities[rows, labels], classes)
    usual = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)  # a class without labels has to be sure
    relative = probabilities - usual
    own = relative[rows, labels]
    relative[rows, labels] = -np.inf
    other = relative.argmax(1)
    return relative[rows, other] - own, other


def by_pixels(suspicion: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Suspicion of regions (R,), weighted by their pixels (R,): a mean over few of them is wrong about many regions."""
    return suspicion * pixels / (pixels + FEW)


def regions_of(labels: np.ndarray, known: np.ndarray, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Number the connected regions of one class: (H, W) from 1, 0 where nothing is known, and (R, 6) of each one.

    The columns are class, pixels, left, top, right and bottom; regions of fewer than `least` pixels are left out.
    """
    numbers = np.zeros(labels.shape, np.int32)
    rows: list[list[int]] = []
    for label in np.unique(labels[known]).tolist():
        mask = ((labels == label) & known).astype(np.uint8)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        keep = np.array([0, *(stats[1:, cv2.CC_STAT_AREA] >= least)], bool)
        places = np.where(keep, np.cumsum(keep) + len(rows), 0)
        numbers = np.where(parts > 0, places[parts], numbers)
        for left, top, width, height, area in stats[keep].tolist():
            rows.append([label, area, left, top, left + width, top + height])
    return numbers, np.array(rows, np.int64).reshape(-1, 6)


def region_means(numbers: np.ndarray, probabilities: np.ndarray, regions: int) -> np.ndarray:
    """The mean over each region of probabilities (K, H, W): (R, K)."""
    flat = numbers.ravel()
    counts = np.maximum(np.bincount(flat, minlength=regions + 1), 1)
    sums = [np.bincount(flat, plane.ravel(), regions + 1) for plane in probabilities]
    return (np.stack(sums, 1) / counts[:, None])[1:]


def object_probabilities(
    overlaps: np.ndarray, found: np.ndarray, scores: np.ndarray, classes: int, true: int
) -> np.ndarray:
    """The score of the surest found object at each true object, by class: (n, K), 0 for none.

    overlaps: (m, n); found, scores: (m,).
    """
    table = np.zeros((true, classes))
    places, owners = np.nonzero(overlaps >= OVERLAP)
    np.maximum.at(table, (owners, found[places]), scores[places])
    return table


def missing_labels(overlaps: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """How suspicious it is that an object was found where no label stands, (m, n) -> (m,): a part of its score.

    Nothing is left of it where a label is its own, or near and nobody else's; beside a label that is found by itself,
    as that of a neighbor, the less the more they overlap.
    """
    if not overlaps.size:
        return scores
    taken = overlaps.max(0) >= OVERLAP
    covered = (overlaps / np.where(taken, OVERLAP, NEAR)).clip(0, 1).max(1)
    return scores * (1 - covered)


def labels_of_nothing(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How suspicious it is that nothing was found at a label: half of what its class is usually found with: (n,).

    Half, since a missed object is more often the model's error than an object of another class is.
    """
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    usual = np.bincount(labels, own, classes) / np.maximum(np.bincount(labels, minlength=classes), 1)
    return np.where(probabilities.max(1) == 0, usual[labels] / 2, 0.0)


def shift_gain(restored: np.ndarray, target: np.ndarray) -> float:
    """How many dB a restored image gains when it is displaced by up to `SHIFT` pixels: (H, W, C), (H, W, C)."""
    if min(target.shape[:2]) <= 4 * SHIFT:
        return 0.0
    inner = target[SHIFT:-SHIFT, SHIFT:-SHIFT]
    height, width = inner.shape[:2]
    steps = range(2 * SHIFT + 1)
    errors = {(y, x): np.square(restored[y : y + height, x : x + width] - inner).mean() for y in steps for x in steps}
    here, best = errors[SHIFT, SHIFT], min(errors.values())
    return float(10 * np.log10(max(here, 1e-10) / max(best, 1e-10)))


def unfitting_targets(psnr: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """How suspicious each target is: deviations below the median PSNR, in units of the usual one, and dB by a shift.

    psnr, gains: (N,), the second as `shift_gain` gives it.
    """
    middle = np.median(psnr)
    usual = max(1.4826 * float(np.median(np.abs(psnr - middle))), 1e-3)
    return np.maximum((middle - psnr) / usual, 0) + gains
