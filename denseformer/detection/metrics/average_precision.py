"""Average precision of boxes and masks, also per class, and the confusion matrix.

Legend: K classes; areas are COCO's: all, small, medium, large.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmdet.evaluation.functional.mean_ap import average_precision, tpfp_default
from mmdet.evaluation.metrics import coco_metric
from mmengine.logging import MMLogger

from denseformer.detection.annotation_files import make_scorable, match_categories
from denseformer.detection.coco_content import check_content, has_outline
from denseformer.detection.metrics.confusion import ImageTruth, count_confusions
from denseformer.registry import METRICS

AREAS = {'mAP_s': 1, 'mAP_m': 2, 'mAP_l': 3}
THRESHOLDS = {'mAP_50': 0, 'mAP_75': 5}
FIELDS = {'bbox': 'bbox', 'segm': 'segmentation'}


@METRICS.register_module()
class CocoMetric(coco_metric.CocoMetric):
    """COCO's average precision of boxes and masks, under names without a prefix, as `bbox_mAP`, 0 .. 1.

    mmdetection's metric returns no scores when nothing is found, so that the run stops where it looks for the best
    checkpoint, and prints its table per class without keeping it. Sizes without a true object score -1, as in COCO.

    per_class: class name -> {'bbox_mAP', 'bbox_mAP_50', 'segm_mAP' ..., 'objects'}; None for a class without objects.
    confusion: (K + 1, K + 1) counts of true objects (rows) by the class found there (columns); the last row counts
        detections where nothing is, the last column missed objects.

    Args:
        data_root: of the dataset.
        ann_file: the annotations below it; None takes the truth from the samples, whose pipeline then packs the meta
            key `instances`.
        metric: 'bbox' for boxes, 'segm' for masks.
        score: of the least certain object that `confusion` counts, 0 .. 1.
        collect_device: where results of several processes meet, 'cpu' or 'gpu'.
    """

    default_prefix = None

    def __init__(
        self,
        *,
        data_root: str = '',
        ann_file: str | None = None,
        metric: Sequence[str] = ('bbox', 'segm'),
        score: float = 0.3,
        collect_device: str = 'cpu',
    ):
        unknown = set(metric) - set(FIELDS)
        if unknown or not metric:
            raise ValueError(f"CocoMetric scores 'bbox', 'segm' or both; metric is {list(metric)}.")
        self.path = str(Path(data_root) / ann_file) if ann_file else None
        with redirect_stdout(StringIO()):
            super().__init__(ann_file=self.path, metric=list(metric), collect_device=collect_device)
        self.score = score
        self.per_class: dict[str, dict[str, float | int | None]] = {}
        self.confusion: np.ndarray | None = None

    @property
    def classes(self) -> Sequence[str]:
        """Classes of the dataset; those of things alone where it has stuff too."""
        return self.dataset_meta.get('thing_classes') or self.dataset_meta['classes']

    def compute_metrics(self, results: list) -> dict[str, float]:
        classes = self.classes
        found = [prediction for _, prediction in results]
        truth = self.read_truth([image for image, _ in results])
        self.img_ids = [prediction['img_id'] for prediction in found]
        self.cat_ids = truth.get_cat_ids(cat_names=classes)
        per_image = [self.truth_of(truth, number) for number in self.img_ids]
        self.confusion = np.sum(
            [count_confusions(*pair, len(classes), score=self.score) for pair in zip(per_image, found, strict=True)], 0
        )
        labels = np.concatenate([image.labels[~image.ignored] for image in per_image])
        self.per_class = {name: {} for name in classes}
        scores = self.compute_scores(truth, per_image, found)
        for label, name in enumerate(classes):
            self.per_class[name]['objects'] = int((labels == label).sum())
        MMLogger.get_current_instance().info('  '.join(f'{name} {value:.3f}' for name, value in scores.items()))
        return scores

    def compute_scores(self, truth: COCO, per_image: Sequence[ImageTruth], found: Sequence[Mapping]) -> dict:
        """Scores by name; those per class are added to `per_class`."""
        scores = {}
        for kind in self.metrics:
            precision = self.precision(truth, found, kind)
            scores[f'{kind}_mAP'] = mean(precision[..., 0])
            scores |= {f'{kind}_{name}': mean(precision[i, :, :, 0]) for name, i in THRESHOLDS.items()}
            scores |= {f'{kind}_{name}': mean(precision[..., i]) for name, i in AREAS.items()}
            for k, row in enumerate(self.per_class.values()):
                row[f'{kind}_mAP'] = or_none(mean(precision[:, :, k, 0]))
                row[f'{kind}_mAP_50'] = or_none(mean(precision[0, :, k, 0]))
        return scores

    def precision(self, truth: COCO, found: Sequence[Mapping], kind: str) -> np.ndarray:
        """(10 IoU thresholds, 101 recalls, K, 4 areas); -1 where there is no true object."""
        rows = [row for prediction in found for row in self.rows(prediction, kind)]
        with redirect_stdout(StringIO()):
            evaluation = COCOeval(with_masks(truth) if kind == 'segm' else truth, as_coco(truth, rows), kind)
            evaluation.params.catIds, evaluation.params.imgIds = self.cat_ids, self.img_ids
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation.eval['precision'][..., -1]  # the last of 1, 10 and 100 objects per image

    def rows(self, prediction: Mapping[str, Any], kind: str) -> Iterator[dict]:
        """The detections of an image in COCO's results format; masks carry no boxes, whose areas would count."""
        if kind == 'segm' and 'masks' not in prediction:
            raise ValueError("The model finds no masks; write metric=['bbox'] of the evaluator's CocoMetric.")
        scores = prediction.get('mask_scores', prediction['scores']) if kind == 'segm' else prediction['scores']
        places = prediction['masks'] if kind == 'segm' else map(self.xyxy2xywh, prediction['bboxes'])
        for label, score, place in zip(prediction['labels'], scores, places, strict=True):
            row = {'image_id': prediction['img_id'], 'category_id': self.cat_ids[label], 'score': float(score)}
            yield {**row, FIELDS[kind]: place}

    def read_truth(self, images: Sequence[dict]) -> COCO:
        """The annotations, with categories in the order of the dataset's classes."""
        truth = self._coco_api
        if truth is None:
            with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
                truth = COCO(self.gt_to_coco_json(images, f'{folder}/truth'))
        else:
            sizes = {row['img_id']: {'width': row['width'], 'height': row['height']} for row in images}
            for row in truth.dataset.get('images', ()):
                row.update({**sizes.get(row['id'], {}), **row})
            check_content(truth.dataset, file=str(self.path))
        match_categories(truth, self.classes, file=self.path or 'the test samples', subset=True)
        make_scorable(truth)
        return truth

    def truth_of(self, truth: COCO, image: Any) -> ImageTruth:
        rows = truth.load_anns(truth.get_ann_ids(img_ids=[image], cat_ids=self.cat_ids))
        boxes = np.array([row['bbox'] for row in rows], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([self.cat_ids.index(row['category_id']) for row in rows], np.int64)
        ignored = np.array([row.get('iscrowd') or row.get('ignore', 0) for row in rows], bool)
        return ImageTruth(boxes, labels, ignored)


@METRICS.register_module()
class VOCMetric(CocoMetric):
    """Pascal VOC's average precision: of boxes that share half of their union with a true one, as `mAP`, 0 .. 1.

    mmdetection's forks four processes for it and has no table per class.

    Args:
        eval_mode: 'area' under the curve of precision, VOC's since 2010; '11points' of it, as in 2007.
        The others are described in `CocoMetric`.
    """

    def __init__(
        self,
        *,
        data_root: str = '',
        ann_file: str | None = None,
        eval_mode: str = 'area',
        score: float = 0.3,
        collect_device: str = 'cpu',
    ):
        if eval_mode not in ('area', '11points'):
            raise ValueError(f"eval_mode of VOCMetric is 'area' or '11points', got '{eval_mode}'.")
        super().__init__(
            data_root=data_root, ann_file=ann_file, metric=('bbox',), score=score, collect_device=collect_device
        )
        self.eval_mode = eval_mode

    def compute_scores(self, truth: COCO, per_image: Sequence[ImageTruth], found: Sequence[Mapping]) -> dict:
        for label, row in enumerate(self.per_class.values()):
            pairs = [match(label, *pair) for pair in zip(per_image, found, strict=True)]
            row['AP'] = self.average_precision(pairs, sum((t.labels[~t.ignored] == label).sum() for t in per_image))
        values = [row['AP'] for row in self.per_class.values() if row['AP'] is not None]
        return {'mAP': round(float(np.mean(values)), 4) if values else -1.0}

    def average_precision(self, pairs: Sequence[np.ndarray], objects: int) -> float | None:
        if not objects:
            return None
        scores, right, wrong = np.concatenate(pairs, axis=1)
        order = np.argsort(-scores, kind='stable')
        right, wrong = right[order].cumsum(), wrong[order].cumsum()
        precision = right / np.maximum(right + wrong, 1)  # what lies on ignored objects is neither
        return round(float(average_precision(right / objects, precision, self.eval_mode)), 4)


def match(label: int, truth: ImageTruth, found: Mapping[str, Any]) -> np.ndarray:
    """(3, n): score of each box of the class, whether it is right, whether it is wrong."""
    mine, same = found['labels'] == label, truth.labels == label
    boxes = np.concatenate([found['bboxes'][mine], found['scores'][mine, None]], axis=1)
    right, wrong = tpfp_default(boxes, truth.boxes[same & ~truth.ignored], truth.boxes[same & truth.ignored], 0.5)
    return np.stack([boxes[:, 4], right[0], wrong[0]])


def with_masks(truth: COCO) -> COCO:
    """The truth for scores of masks, in which objects without an outline, which training ignores, are empty crowds."""
    rows = truth.dataset.get('annotations', ())
    whole = COCO()
    whole.dataset = {**truth.dataset, 'annotations': [{**row, **mask_of(row, truth.imgs)} for row in rows]}
    with redirect_stdout(None):
        whole.createIndex()
    return whole


def mask_of(row: Mapping[str, Any], images: Mapping[Any, Mapping]) -> dict[str, Any]:
    """Changes to an annotation for pycocotools, which takes polygons of two points for boxes and fails without any."""
    outline, image = row.get('segmentation'), images.get(row['image_id'])
    if has_outline(outline):
        polygons = outline if isinstance(outline, list) else []
        return {'segmentation': [polygon for polygon in polygons if len(polygon) >= 6] or outline}
    if image is None:
        return {}
    size = [image['height'], image['width']]
    return {'segmentation': {'size': size, 'counts': [size[0] * size[1]]}, 'iscrowd': 1}


def as_coco(truth: COCO, rows: list[dict]) -> COCO:
    """Results as pycocotools' index, which its own `loadRes` cannot make of none."""
    if rows:
        return truth.loadRes(rows)
    nothing = COCO()
    nothing.dataset = {**truth.dataset, 'annotations': []}
    nothing.createIndex()
    return nothing


def mean(precision: np.ndarray) -> float:
    """Over what has true objects; -1 when nothing has."""
    known = precision[precision > -1]
    return round(float(known.mean()), 4) if known.size else -1.0


def or_none(score: float) -> float | None:
    return None if score < 0 else score
