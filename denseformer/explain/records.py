"""The record of each validation image: arrays from which scores, errors and suspicions follow without the model.

Legend: H W map, K classes, m found objects, n true ones, B bins, P pairs of classes that occur, R regions, C channels.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from denseformer.detection.metrics.panoptic_quality import match_segments
from denseformer.detection.panoptic_maps import Segments
from denseformer.explain.errors import boundary_band, detail_and_flat
from denseformer.explain.labels import region_means, regions_of, shift_gain
from denseformer.explain.scores import reliability

Arrays = dict[str, np.ndarray]
LEVELS = 50
"""Bins of a class's probability, among which its best threshold is looked for."""
SAMPLED = 2**18
"""Pixels of an image whose probabilities are looked at, evenly spread."""
LEAST = 4
"""Pixels of a region, of those that are looked at, below which its label is not judged."""


@dataclass
class Records:
    """task: segmentation, detection, panoptic or restoration; things: how many classes, the first, are things.

    files: paths of the images; images: the arrays of each; totals: arrays that are summed over all images; metrics: the
    scores that the run's own evaluator gave; checkpoint, digest: the file that predicted, and its hash.
    """

    task: str
    classes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    images: list[Arrays] = field(default_factory=list)
    totals: Arrays = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    checkpoint: str = ''
    digest: str = ''

    def add(self, file: str, arrays: Arrays, totals: Mapping[str, np.ndarray] | None = None) -> None:
        self.files.append(file)
        self.images.append(arrays)
        for name, value in (totals or {}).items():
            self.totals[name] = self.totals[name] + value if name in self.totals else value

    def column(self, name: str) -> np.ndarray:
        """One array of all images, (N, ...)."""
        return np.stack([image[name] for image in self.images])

    def joined(self, name: str) -> np.ndarray:
        """One array of all images, end to end."""
        return np.concatenate([image[name] for image in self.images])

    def owners(self, name: str) -> np.ndarray:
        """The image that each row of `joined(name)` is of."""
        return np.repeat(np.arange(len(self.images)), [len(image[name]) for image in self.images])

    def save(self, path: Path) -> None:
        about = {key: getattr(self, key) for key in ('task', 'classes', 'files', 'metrics', 'checkpoint', 'digest')}
        arrays = {f'{i}/{name}': value for i, image in enumerate(self.images) for name, value in image.items()}
        arrays |= {f'totals/{name}': value for name, value in self.totals.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> 'Records':
        with np.load(path, allow_pickle=False) as content:
            records = cls(**json.loads(str(content['about'])))
            records.images = [{} for _ in records.files]
            for key in content.files:
                place, _, name = key.partition('/')
                if name:
                    part = records.totals if place == 'totals' else records.images[int(place)]
                    part[name] = content[key]
        return records


def segmentation_record(
    probabilities: np.ndarray, found: np.ndarray, labels: np.ndarray, ignored: int
) -> tuple[Arrays, Arrays]:
    """The classes found (H, W) and the labels (H, W), with probabilities -> arrays of the image, and summed ones.

    probabilities: (K, h, w), of every `sampling_step`-th pixel of both axes.

    pairs: (P, 3) true class * K + found class, pixels, and how many of them lie at boundaries; regions: (R, 6) as
    `labels.regions_of` gives them; region_probabilities: (R, K); region_right: (R,) share of pixels that are right.
    Summed: levels (K, B, 2), pixels of the class and of others by its probability; reliability.
    """
    classes = len(probabilities)
    known = labels != ignored
    codes = labels.astype(np.int64) * classes + found
    counts = np.bincount(codes[known], minlength=classes * classes)
    at_edges = np.bincount(codes[known & boundary_band(labels)], minlength=classes * classes)
    pairs = np.flatnonzero(counts)
    step = sampling_step(labels.shape)
    labels, found, known = (values[::step, ::step] for values in (labels, found, known))
    numbers, regions = regions_of(labels, known, LEAST)
    right = region_means(numbers, (labels == found)[None].astype(float), len(regions))[:, 0]
    arrays = {
        'pairs': np.stack([pairs, counts[pairs], at_edges[pairs]], 1),
        'regions': regions * np.array([1, step * step, step, step, step, step]),
        'region_probabilities': region_means(numbers, probabilities, len(regions)).astype(np.float16),
        'region_right': right.astype(np.float32),
    }
    confidence = np.take_along_axis(probabilities, found[None].astype(np.int64), 0)[0]
    totals = {
        'levels': level_counts(probabilities[:, known], labels[known]),
        'reliability': reliability(confidence[known], (labels == found)[known]),
    }
    return arrays, totals


def sampling_step(shape: tuple[int, ...]) -> int:
    """Every how many-th row and column of a map (H, W) its probabilities are looked at."""
    return int(np.ceil(np.sqrt(np.prod(shape) / SAMPLED)))


def level_counts(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probabilities (K, P) of pixels and their labels (P,) -> (K, B, 2): pixels of the class, and others, by level."""
    classes = len(probabilities)
    places = np.minimum((probabilities * LEVELS).astype(np.int64), LEVELS - 1)
    places += LEVELS * np.arange(classes)[:, None]
    every = np.bincount(places.ravel(), minlength=classes * LEVELS)
    own = np.bincount(places[labels, np.arange(len(labels))], minlength=classes * LEVELS)
    return np.stack([own, every - own], 1).reshape(classes, LEVELS, 2)


def objects_record(
    *,
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    true_boxes: np.ndarray,
    true_labels: np.ndarray,
    ignored: np.ndarray,
    areas: np.ndarray,
    overlaps: np.ndarray,
) -> Arrays:
    """The objects of an image, the surest first: found boxes (m, 4), true ones (n, 4), and their overlaps (m, n)."""
    order = np.argsort(-scores, kind='stable')
    return {
        'boxes': boxes[order].reshape(-1, 4).astype(np.float32),
        'labels': labels[order].astype(np.int64),
        'scores': scores[order].astype(np.float32),
        'true_boxes': true_boxes.reshape(-1, 4).astype(np.float32),
        'true_labels': true_labels.astype(np.int64),
        'ignored': ignored.astype(bool),
        'areas': areas.astype(np.float32),
        'overlaps': overlaps[order].reshape(len(labels), len(true_labels)).astype(np.float32),
    }


def panoptic_record(truth: Segments, found: Segments, classes: int) -> Arrays:
    """Segments as objects, all of them sure, with the sums of the panoptic quality, (K, 4), and each one's pixels.

    votes: (n, K), the share of each true segment's pixels that is found as each class.
    """
    size = len(truth.labels) + 1, len(found.labels) + 1
    shared = np.bincount((truth.numbers * size[1] + found.numbers).ravel(), minlength=size[0] * size[1]).reshape(size)
    true_area, area = shared.sum(1)[1:], shared.sum(0)[1:]
    union = area[:, None] - shared[0, 1:, None] + true_area - shared[1:, 1:].T
    overlaps = shared[1:, 1:].T / np.maximum(union, 1)
    overlaps[:, truth.crowd] = (shared[1:, 1:].T / np.maximum(area[:, None], 1))[:, truth.crowd]
    votes = np.zeros((len(truth.labels), classes))
    np.add.at(votes.T, found.labels, shared[1:, 1:].T)
    objects = objects_record(
        boxes=boxes_of(found.numbers, len(found.labels)),
        labels=found.labels,
        scores=np.ones(len(found.labels)),
        true_boxes=boxes_of(truth.numbers, len(truth.labels)),
        true_labels=truth.labels,
        ignored=truth.crowd,
        areas=true_area,
        overlaps=overlaps,
    )
    quality = match_segments(truth, found, classes)
    return {**objects, 'quality': quality, 'votes': votes / np.maximum(true_area, 1)[:, None]}


def boxes_of(numbers: np.ndarray, count: int) -> np.ndarray:
    """(count, 4) left, top, right, bottom of the segments 1, 2 ... of a map (H, W); zeros for an empty one."""
    boxes = np.zeros((count, 4))
    rows, columns = np.nonzero(numbers)
    which = numbers[rows, columns] - 1
    boxes[:, :2] = np.inf
    for places, low, high in ((columns, 0, 2), (rows, 1, 3)):
        np.minimum.at(boxes[:, low], which, places)
        np.maximum.at(boxes[:, high], which, places + 1)
    boxes[~np.isfinite(boxes).all(1)] = 0
    return boxes


def restoration_record(restored: np.ndarray, target: np.ndarray, psnr: float, given: float) -> Arrays:
    """Images (H, W, C) in 0 .. 1; psnr: as the run measures it; given: of the input, nan where it has another size.

    slices: PSNR where the target has detail, and where it is flat; gain: dB by the best shift of the target.
    """
    return {
        'psnr': np.array(psnr),
        'given': np.array(given),
        'slices': np.array(detail_and_flat(restored, target)),
        'gain': np.array(shift_gain(restored, target)),
        'size': np.array(target.shape[:2]),
    }


def same_images(first: Records, second: Records) -> None:
    """Raise ValueError where two runs were not validated on the same images, or for the same task."""
    reason = difference(first, second)
    if reason:
        raise ValueError(f'The runs cannot be compared image by image: {reason}. Validate both on the same data.')


def difference(first: Records, second: Records) -> str:
    """The difference between the data of two runs, in words; '' for nothing."""
    if first.task != second.task:
        return f'one is of {first.task}, the other of {second.task}'
    if first.classes != second.classes:
        return f'the classes of one are {", ".join(first.classes)}, those of the other {", ".join(second.classes)}'
    images, others = ([Path(file).name for file in records.files] for records in (first, second))
    strange = sorted({*images} ^ {*others})
    if strange:
        return f'{len(strange)} images were seen by one of them alone ({", ".join(strange[:3])} ...)'
    return 'they have the same images in another order' if images != others else ''
