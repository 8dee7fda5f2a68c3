"""Average precision of objects that must be found and described: Fashionpedia's, https://arxiv.org/abs/2004.12276.

A detection is right where it overlaps an object of its class by a threshold of IoU and its attributes agree with the
object's by a threshold of F1; both go from 0.5 to 0.95. Classes whose objects have no attributes are scored by IoU
alone and count once, the others once for each threshold of F1.

Legend: D detections, G objects, T thresholds of IoU, F thresholds of F1, R recalls, K classes, A attributes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval

from denseformer.detection.metrics.average_precision import CocoMetric, as_coco, mean, with_masks
from denseformer.detection.metrics.confusion import ImageTruth
from denseformer.registry import METRICS

THRESHOLDS = np.linspace(0.5, 0.95, 10)
ALMOST = 1 - 1e-10
SURE = 0.5
"""Probability from which on a detection has an attribute."""


@METRICS.register_module()
class AttributeMetric(CocoMetric):
    """`CocoMetric` with `bbox_mAP_f1` and `segm_mAP_f1`: Fashionpedia's AP of IoU and F1, and its parts at 0.5.

    FashionFormer's own evaluation leaves out the threshold 0.95 of IoU; this has all of Fashionpedia's.

    Args:
        described: the classes whose attributes count; None for those of which an object in the file has any.
        The others are described in `CocoMetric`; the truth is always read from `ann_file`.
    """

    def __init__(self, *, ann_file: str, described: Sequence[str] | None = None, **options: Any):
        super().__init__(ann_file=ann_file, **options)
        self.described = described

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        super().process(data_batch, data_samples)
        for (_, result), sample in zip(self.results[-len(data_samples) :], data_samples, strict=True):
            if 'attributes' not in sample['pred_instances']:
                raise ValueError('The model finds no attributes: score it with denseformer.CocoMetric.')
            result['attributes'] = (sample['pred_instances']['attributes'] > SURE).cpu().numpy()

    def rows(self, prediction: Mapping[str, Any], kind: str) -> Iterator[dict]:
        for row, attributes in zip(super().rows(prediction, kind), prediction['attributes'], strict=True):
            yield {**row, 'attributes': attributes}

    def compute_scores(self, truth: COCO, per_image: Sequence[ImageTruth], found: Sequence[Mapping]) -> dict:
        scores = super().compute_scores(truth, per_image, found)
        described = self.described_classes(truth)
        for kind in self.metrics:
            precision = self.described_precision(truth, found, kind, described)
            scores[f'{kind}_mAP_f1'] = mean(counted(precision, described))
            scores[f'{kind}_mAP_f1_50'] = mean(counted(precision[:1, :1], described))
            for k, row in enumerate(self.per_class.values()):
                own = mean(precision[:, :, :, k])
                row[f'{kind}_mAP_f1'] = None if own < 0 else own
        return scores

    def described_classes(self, truth: COCO) -> np.ndarray:
        """(K,) whether attributes of the class count."""
        if self.described is not None:
            return np.array([name in self.described for name in self.classes])
        having = {row['category_id'] for row in truth.dataset['annotations'] if row.get('attribute_ids')}
        return np.array([category in having for category in self.cat_ids])

    def described_precision(
        self, truth: COCO, found: Sequence[Mapping], kind: str, described: np.ndarray
    ) -> np.ndarray:
        """(T, F, R, K); -1 where there is no true object."""
        index = {row['id']: i for i, row in enumerate(sorted(truth.dataset['attributes'], key=lambda row: row['id']))}
        rows = [row for prediction in found for row in self.rows(prediction, kind)]
        categories = {category for category, counts in zip(self.cat_ids, described, strict=True) if counts}
        with redirect_stdout(StringIO()):
            evaluation = DescribedEvaluation(
                with_masks(truth) if kind == 'segm' else truth, as_coco(truth, rows), kind, index, categories
            )
            evaluation.params.catIds, evaluation.params.imgIds = self.cat_ids, self.img_ids
            evaluation.evaluate()
            evaluation.accumulate()
        precision = evaluation.eval['precision'][..., 0, -1]  # all areas, the last of 1, 10 and 100 objects per image
        return precision.reshape(len(THRESHOLDS), len(THRESHOLDS), *precision.shape[1:])


def counted(precision: np.ndarray, described: np.ndarray) -> np.ndarray:
    """The precisions of (T, F, R, K) that count: of every threshold of F1 where classes are described, else of one."""
    return np.concatenate([precision[..., described].ravel(), precision[:, 0][..., ~described].ravel()])


class DescribedEvaluation(COCOeval):
    """pycocotools' evaluation at pairs of thresholds, T * F in place of its T.

    index: id of an attribute -> its place among A; described: categories whose attributes count.
    """

    def __init__(self, truth: COCO, found: COCO, kind: str, index: Mapping[int, int], described: set[int]):
        super().__init__(truth, found, kind)
        self.index, self.described = index, described
        self.params.iouThrs = np.repeat(THRESHOLDS, len(THRESHOLDS))
        self.f1_thresholds = np.tile(THRESHOLDS, len(THRESHOLDS))
        self.params.areaRng, self.params.areaRngLbl = self.params.areaRng[:1], self.params.areaRngLbl[:1]

    def evaluateImg(self, image: int, category: int, area: Sequence[float], most: int) -> dict | None:  # noqa: N802
        """pycocotools' method of that name: the matches of a category in an image, at every pair of thresholds."""
        truth, found = self._gts[image, category], self._dts[image, category]
        if not truth and not found:
            return None
        order = sorted(range(len(truth)), key=lambda i: truth[i]['ignore'])
        found = sorted(found, key=lambda row: -row['score'])[:most]
        truth = [truth[i] for i in order]
        ignored, crowd = (np.array([row[key] for row in truth], bool) for key in ('ignore', 'iscrowd'))
        shape = len(self.params.iouThrs), len(found)
        places: np.ndarray = np.full(shape, -1)
        if truth and found:
            ious = np.asarray(self.ious[image, category])[:, order]
            f1s: np.ndarray = np.ones_like(ious)
            if category in self.described:
                f1s = f1_scores(np.array([row['attributes'] for row in found]), self.marks(truth, found))
            places = np.stack(
                [
                    match(ious, f1s, ignored, crowd, *pair)
                    for pair in zip(self.params.iouThrs, self.f1_thresholds, strict=True)
                ]
            )
        ids = np.array([*(row['id'] for row in truth), 0])  # the last for -1: none
        return {
            'image_id': image,
            'category_id': category,
            'aRng': area,
            'maxDet': most,
            'dtIds': [row['id'] for row in found],
            'gtIds': [row['id'] for row in truth],
            'dtMatches': ids[places],
            'dtScores': [row['score'] for row in found],
            'gtIgnore': ignored,
            'dtIgnore': np.array([*ignored, False])[places],
        }

    def marks(self, truth: Sequence[dict], found: Sequence[dict]) -> np.ndarray:
        """The attributes of true objects, (G, A) bool, with A as the detections have it."""
        marks = np.zeros((len(truth), len(found[0]['attributes'])), bool)
        for mark, row in zip(marks, truth, strict=True):
            mark[[self.index[each] for each in row.get('attribute_ids') or ()]] = True
        return marks


def match(
    ious: np.ndarray, f1s: np.ndarray, ignored: np.ndarray, crowd: np.ndarray, iou: float, f1: float
) -> np.ndarray:
    """The object of each detection, (D,), best first; -1 for none.

    A detection goes from object to object that is at least as good by both measures, as in Fashionpedia's code.

    Args:
        ious, f1s: (D, G), with ignored objects last.
        ignored, crowd: (G,); a crowd takes many detections.
        iou, f1: thresholds.
    """
    places, taken = np.full(len(ious), -1), np.zeros(len(ignored), bool)
    for d in range(len(ious)):
        best, least_iou, least_f1 = -1, min(iou, ALMOST), min(f1, ALMOST)
        for g in range(len(ignored)):
            if taken[g] and not crowd[g]:
                continue
            if best >= 0 and ignored[g] and not ignored[best]:
                break
            if ious[d, g] >= least_iou and f1s[d, g] >= least_f1:
                best, least_iou, least_f1 = g, ious[d, g], f1s[d, g]
        places[d] = best
        taken[best] |= best >= 0
    return places


def f1_scores(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How well attributes (D, A) agree with those of objects (G, A): (D, G) in 0 .. 1.

    The mean of the F1 of attributes that are there and of those that are not, without the one that neither has.
    """
    found, truth = found.astype(float), truth.astype(float)
    parts = [agreement(found, truth), agreement(1 - found, 1 - truth)]
    return np.nanmean(parts, axis=0)


def agreement(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """F1 of marks (D, A) and (G, A): (D, G), NaN where neither has any."""
    total = found.sum(1)[:, None] + truth.sum(1)
    return np.divide(2 * found @ truth.T, total, out=np.full(total.shape, np.nan), where=total > 0)
