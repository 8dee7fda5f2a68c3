"""From the records of a run to what its page shows: scores, tables, and suspected labels, for each task.

Legend: N images, K classes, m found objects, n true ones, R resamples.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from denseformer.explain import errors, labels, scores
from denseformer.explain.records import Records

SMALL, LARGE = 32**2, 96**2
"""COCO's limits of small and large objects, in pixels."""
LISTED = 200
"""Suspected labels that are kept."""
Row = list[Any]


@dataclass(frozen=True)
class Suspect:
    """A label that may be wrong: its image, its box in pixels, the class it has, the one it may be, and how sure."""

    image: int
    box: tuple[float, float, float, float]
    kind: str
    label: str
    other: str
    score: float


@dataclass
class Analysis:
    """name, unit: of the score; statistic: of weighted images (R, N); per_image: (N,) scores, the higher the better.

    least: the change of an image's score that counts; tables: heading -> the table's head and rows; reliability: counts
    by score, None where a task has no scores; suspects: the most suspicious first.
    """

    name: str
    unit: str
    statistic: Callable[[np.ndarray], np.ndarray]
    per_image: np.ndarray
    least: float
    tables: dict[str, tuple[list[str], list[Row]]] = field(default_factory=dict)
    reliability: np.ndarray | None = None
    suspects: list[Suspect] = field(default_factory=list)

    @property
    def score(self) -> float:
        return float(self.statistic(np.ones((1, len(self.per_image))))[0])


def analyze(records: Records) -> Analysis:
    """Everything that follows from the records of a run. Raises ValueError where it has no images."""
    if not records.images:
        raise ValueError('The validation set has no images to explain.')
    return ANALYSES[records.task](records)


def segmentation(records: Records) -> Analysis:
    classes, count = records.classes, len(records.classes)
    per_image = [np.stack(class_pixels(image['pairs'], count)) for image in records.images]
    both, true, found = np.stack(per_image, 1)  # (N, K) each
    union = true + found - both
    with np.errstate(invalid='ignore', divide='ignore'):
        own = 100 * np.nanmean(np.where(true > 0, both / union, np.nan), 1)
    made = Analysis('mIoU', '%', lambda weights: scores.weighted_miou(both, union, weights), own, 1.0)
    made.reliability = records.totals['reliability']
    pairs = records.joined('pairs')
    whole, edges = (np.bincount(pairs[:, 0], pairs[:, i], count * count).reshape(count, count) for i in (1, 2))
    table = scores.precision_recall_f1(whole)
    best = [scores.best_of_histogram(*level.T) for level in records.totals['levels']]
    made.tables['Classes, over pixels'] = (
        ['class', 'precision', 'recall', 'F1', 'best threshold', 'F1 there', 'pixels'],
        [
            [name, *row, level.threshold, level.f1, int(n)]
            for name, row, level, n in zip(classes, table, best, whole.sum(1), strict=True)
        ],
    )
    made.tables['Kinds of error'] = (['', 'share of all pixels', 'share of all errors'], pixel_errors(whole, edges))
    made.tables['Most confused'] = (['true', 'found', 'share of the true class'], confused(whole, classes))
    regions, right = records.joined('regions'), records.joined('region_right')
    made.tables['By size of the region'] = (
        ['pixels', 'regions', 'share of pixels that is right'],
        sized(regions[:, 1], right),
    )
    suspicion, other = labels.other_class(records.joined('region_probabilities').astype(float), regions[:, 0])
    suspicion = labels.by_pixels(suspicion, regions[:, 1])
    owners = records.owners('regions')
    made.suspects = listed(
        Suspect(
            int(owners[i]),
            tuple(regions[i, 2:].tolist()),
            labels.KINDS[labels.OTHER_CLASS],
            classes[regions[i, 0]],
            classes[other[i]],
            float(suspicion[i]),
        )
        for i in np.argsort(-suspicion, kind='stable')[:LISTED]
        if suspicion[i] > 0
    )
    return made


def class_pixels(pairs: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, 3) pairs of an image -> (K,) pixels that are right, that are labelled so, that are found so."""
    true, found = divmod(pairs[:, 0], classes)
    counts = pairs[:, 1].astype(float)
    return (
        np.bincount(true, counts * (true == found), classes),
        np.bincount(true, counts, classes),
        np.bincount(found, counts, classes),
    )


def pixel_errors(whole: np.ndarray, edges: np.ndarray) -> list[Row]:
    """Wrong pixels at boundaries and inside, from confusion matrices of all pixels and of those at boundaries."""
    wrong = [table.sum() - np.trace(table) for table in (whole, edges)]
    total, errors_in_all = max(whole.sum(), 1), max(wrong[0], 1)
    rows = (('at boundaries', wrong[1]), ('inside', wrong[0] - wrong[1]), ('together', wrong[0]))
    return [[name, float(n / total), float(n / errors_in_all)] for name, n in rows]


def confused(whole: np.ndarray, classes: list[str], shown: int = 10) -> list[Row]:
    """The pairs of classes that take most of a true class's pixels."""
    shares = whole / np.maximum(whole.sum(1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None)[:shown]
    places = zip(*np.unravel_index(order, shares.shape), strict=True)
    return [[classes[i], classes[j], float(shares[i, j])] for i, j in places if shares[i, j] > 0]


def sized(areas: np.ndarray, right: np.ndarray) -> list[Row]:
    names = ('below 32 x 32', 'up to 96 x 96', 'larger')
    return [[name, *row] for name, row in zip(names, scores.size_slices(areas, right, (SMALL, LARGE)), strict=True)]


def detection(records: Records) -> Analysis:
    matches = [match(image) for image in records.images]
    right, aside = (np.concatenate(parts) for parts in zip(*matches, strict=True))
    images, found = records.owners('labels'), records.joined('labels')
    surety = records.joined('scores').astype(float)
    totals = object_totals(records)
    counted = ~aside[:, 0]
    best = []
    for label in range(len(records.classes)):
        mine = counted & (found == label)
        best.append(scores.best_of_objects(surety[mine], right[mine, 0], int(totals[:, label].sum())))
    kinds, missed, hits = object_kinds(records, np.array([each.threshold for each in best]))
    made = Analysis(
        'mAP',
        '%',
        lambda weights: scores.weighted_map(surety, found, images, right, aside, totals, weights),
        image_f1(records, kinds, missed),
        5.0,
    )
    made.tables['Classes, at the best threshold'] = (
        ['class', 'best threshold', 'precision', 'recall', 'F1', 'objects'],
        [
            [name, each.threshold, each.precision, each.recall, each.f1, int(n)]
            for name, each, n in zip(records.classes, best, totals.sum(0), strict=True)
        ],
    )
    made.reliability = scores.reliability(surety[counted].clip(0, 1), right[counted, 0])
    add_object_tables(made, records, kinds, missed, hits)
    chances = [
        labels.object_probabilities(
            image['overlaps'], image['labels'], image['scores'], len(records.classes), len(image['true_labels'])
        )
        for image in records.images
    ]
    extra = [labels.missing_labels(image['overlaps'], image['scores']) for image in records.images]
    made.suspects = object_suspects(records, np.concatenate(chances), np.concatenate(extra))
    return made


def match(image: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return errors.match_objects(image['overlaps'], image['labels'], image['true_labels'], image['ignored'])


def object_totals(records: Records) -> np.ndarray:
    """(N, K) objects to be found."""
    count = len(records.classes)
    return np.stack([np.bincount(i['true_labels'][~i['ignored']], minlength=count) for i in records.images])


def object_kinds(
    records: Records, thresholds: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Kinds of what is found above its class's threshold, missed true objects and right ones, of each image."""
    kinds, missed, hits = [], [], []
    for image in records.images:
        sure = image['scores'] >= np.nan_to_num(thresholds, nan=np.inf)[image['labels']]
        overlaps, found = image['overlaps'][sure], image['labels'][sure]
        each, lost = errors.kinds_of_error(overlaps, found, image['true_labels'], image['ignored'])
        same = (found[:, None] == image['true_labels']) & (overlaps >= errors.OVERLAP)
        kinds.append(each)
        missed.append(lost)
        hits.append((same & (each == errors.RIGHT)[:, None]).any(0))
    return kinds, missed, hits


def image_f1(records: Records, kinds: list[np.ndarray], missed: list[np.ndarray]) -> np.ndarray:
    """F1 of each image in percent, 100 where nothing is to be found and nothing is."""
    values = []
    for image, each in zip(records.images, kinds, strict=True):
        right = (each == errors.RIGHT).sum()
        others = ((each != errors.RIGHT) & (each != errors.IGNORED)).sum()
        total = (~image['ignored']).sum()
        values.append(100.0 if not total + others else 200 * right / (2 * right + others + total - right))
    return np.array(values)


def add_object_tables(
    made: Analysis, records: Records, kinds: list[np.ndarray], missed: list[np.ndarray], hits: list[np.ndarray]
) -> None:
    counts = np.bincount(np.concatenate(kinds), minlength=len(errors.KINDS))
    rows: list[Row] = [[name, int(n)] for name, n in zip(errors.KINDS, counts, strict=True) if name != 'ignored']
    made.tables['Kinds of error'] = (['', 'objects'], [*rows, ['missed', int(np.concatenate(missed).sum())]])
    known = ~records.joined('ignored')
    made.tables['By size of the object'] = (
        ['pixels', 'objects', 'share that is found'],
        sized(records.joined('areas')[known], np.concatenate(hits)[known].astype(float)),
    )


def object_suspects(records: Records, chances: np.ndarray, extra: np.ndarray) -> list[Suspect]:
    """chances: (n, K) as `labels.object_probabilities` gives them, of all images; extra: (m,) missing labels."""
    true, owners, boxes = records.joined('true_labels'), records.owners('true_labels'), records.joined('true_boxes')
    known = ~records.joined('ignored')
    classes = records.classes
    wrong, other = labels.other_class(chances, true)
    wrong = np.where(chances[np.arange(len(true)), other] > 0, wrong, 0.0)
    nothing = labels.labels_of_nothing(chances, true)
    found, found_owners, found_boxes = records.joined('labels'), records.owners('labels'), records.joined('boxes')
    table = [
        (wrong * known, owners, boxes, labels.OTHER_CLASS, true, other),
        (nothing * known, owners, boxes, labels.NOTHING, true, None),
        (extra, found_owners, found_boxes, labels.MISSING, None, found),
    ]
    suspects = []
    for surety, whose, places, kind, own, instead in table:
        for i in np.argsort(-surety, kind='stable')[:LISTED]:
            if surety[i] > 0:
                label, better = ('' if part is None else classes[part[i]] for part in (own, instead))
                box = tuple(places[i].tolist())
                suspects.append(Suspect(int(whose[i]), box, labels.KINDS[kind], label, better, float(surety[i])))
    return listed(suspects)


def listed(suspects: Any) -> list[Suspect]:
    return sorted(suspects, key=lambda suspect: -suspect.score)[:LISTED]


def panoptic(records: Records) -> Analysis:
    quality = records.column('quality')  # (N, K, 4)
    iou, right, extra, lost = np.moveaxis(quality.sum(1), 1, 0)
    own = 100 * iou / np.maximum(right + (extra + lost) / 2, 1e-9)
    kinds, missed, hits = object_kinds(records, np.zeros(len(records.classes)))
    made = Analysis('PQ', '%', lambda weights: scores.weighted_pq(quality, weights), own, 1.0)
    per_class = quality.sum(0)
    rates = scores.rates(*per_class[:, 1:].T)
    made.tables['Classes'] = (
        ['class', 'precision', 'recall', 'F1', 'mean IoU of what is right', 'segments'],
        [
            [name, *row, float(each[0] / each[1]) if each[1] else np.nan, int(each[1] + each[3])]
            for name, row, each in zip(records.classes, rates, per_class, strict=True)
        ],
    )
    add_object_tables(made, records, kinds, missed, hits)
    votes, true = records.joined('votes'), records.joined('true_labels')
    suspicion, other = labels.other_class(votes, true)
    suspicion = labels.by_pixels(suspicion, records.joined('areas')) * ~records.joined('ignored')
    owners, boxes = records.owners('true_labels'), records.joined('true_boxes')
    made.suspects = listed(
        Suspect(
            int(owners[i]),
            tuple(boxes[i].tolist()),
            labels.KINDS[labels.OTHER_CLASS],
            records.classes[true[i]],
            records.classes[other[i]],
            float(suspicion[i]),
        )
        for i in np.argsort(-suspicion, kind='stable')[:LISTED]
        if suspicion[i] > 0
    )
    return made


def restoration(records: Records) -> Analysis:
    psnr, gains, given = (records.column(name).astype(float) for name in ('psnr', 'gain', 'given'))
    made = Analysis('PSNR', 'dB', lambda weights: scores.weighted_mean(psnr, weights), psnr, 0.1)
    detail, flat = records.column('slices').mean(0).tolist()
    made.tables['Where the error is'] = (
        ['', 'PSNR, dB'],
        [['quarter of the pixels with most detail', detail], ['the rest', flat]],
    )
    rows: list[Row] = [['of all images', float(psnr.min()), float(np.median(psnr)), float(psnr.max())]]
    if np.isfinite(given).any():
        better = psnr - given
        rows.append(['more than its input', float(better.min()), float(np.median(better)), float(better.max())])
    made.tables['Spread'] = (['PSNR, dB', 'least', 'median', 'most'], rows)
    suspicion = labels.unfitting_targets(psnr, gains)
    made.suspects = [
        Suspect(
            int(i),
            (0.0, 0.0, *records.images[i]['size'][::-1].astype(float).tolist()),
            labels.KINDS[labels.PAIR],
            '',
            f'{gains[i]:.1f} dB by a shift' if gains[i] > 0.5 else '',
            float(suspicion[i]),
        )
        for i in np.argsort(-suspicion, kind='stable')[:LISTED]
        if suspicion[i] > 0
    ]
    return made


ANALYSES: dict[str, Callable[[Records], Analysis]] = {
    'segmentation': segmentation,
    'detection': detection,
    'panoptic': panoptic,
    'restoration': restoration,
}


def as_json(records: Records, analysis: Analysis) -> dict[str, Any]:
    """The numbers of the page: scores, tables, suspects, and the score of each image; None for what has no value."""
    error = None if analysis.reliability is None else scores.calibration_error(analysis.reliability)
    tables = {
        name: [dict(zip(head, row, strict=True)) for row in rows] for name, (head, rows) in analysis.tables.items()
    }
    content = {
        'checkpoint': records.checkpoint,
        'task': records.task,
        'score': {'name': analysis.name, 'value': analysis.score},
        'metrics': records.metrics,
        'calibration error': error,
        'tables': tables,
        'suspects': [{**asdict(each), 'image': records.files[each.image]} for each in analysis.suspects],
        'images': dict(zip(records.files, map(float, analysis.per_image), strict=True)),
    }
    return without_nan(content)


def without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
