"""Panoptic quality: how well segments agree with the truth, https://arxiv.org/abs/1801.00868.

Legend: H W map, K classes, S segments of the truth, T found ones; map values 0 are nothing, others count from 1.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCOPanoptic
from mmdet.structures import INSTANCE_OFFSET
from mmengine.evaluator import BaseMetric
from PIL import Image

from denseformer.detection.annotation_files import match_categories, name_panoptic_maps
from denseformer.detection.coco_content import check_content
from denseformer.detection.panoptic_maps import Segments, check_map_format, number_segments, read_segments
from denseformer.registry import METRICS

QUALITIES = ('PQ', 'SQ', 'RQ')
COUNTS = ('TP', 'FP', 'FN')


def match_segments(truth: Segments, found: Segments, num_classes: int) -> np.ndarray:
    """Match segments; (K, 4): for each class the summed IoU of the matches, and the numbers of TP, FP and FN.

    Two segments of a class match where they share more than half of their union, pixels without a true label apart.
    A found segment that lies for its greater part on such pixels, or on a crowd of its class, is no false positive; a
    crowd is never missed.
    """
    shape = len(truth.labels) + 1, len(found.labels) + 1
    pairs = np.bincount((truth.numbers * shape[1] + found.numbers).ravel(), minlength=shape[0] * shape[1])
    pairs = pairs.reshape(shape)
    true_area, area = pairs.sum(1)[1:], pairs.sum(0)[1:]
    unlabelled, shared = pairs[0, 1:], pairs[1:, 1:]  # (T,), (S, T)
    same_class = truth.labels[:, None] == found.labels[None]  # (S, T)
    union = true_area[:, None] + area - shared - unlabelled
    iou = np.where(same_class & ~truth.crowd[:, None], shared / np.maximum(union, 1), 0)
    matched = iou > 0.5
    on_crowd = (shared * (same_class & truth.crowd[:, None])).sum(0)
    too_many = ~matched.any(0) & (2 * (unlabelled + on_crowd) <= area) & (area > 0)
    missed = ~matched.any(1) & ~truth.crowd
    pair_labels = truth.labels[matched.nonzero()[0]]
    return np.stack(
        [
            np.bincount(pair_labels, iou[matched], num_classes),
            np.bincount(pair_labels, minlength=num_classes),
            np.bincount(found.labels[too_many], minlength=num_classes),
            np.bincount(truth.labels[missed], minlength=num_classes),
        ],
        axis=1,
    )


def qualities(counts: np.ndarray) -> np.ndarray:
    """(K, 4) as `match_segments` gives them -> (K, 3) panoptic, segmentation and recognition quality, in 0 .. 1.

    A class that neither occurs nor is found has nan.
    """
    iou, matched, too_many, missed = counts.T
    seen = matched + (too_many + missed) / 2
    with np.errstate(invalid='ignore', divide='ignore'):
        recognition = np.where(seen > 0, matched / seen, np.nan)
        segmentation = np.where(matched > 0, iou / matched, np.where(seen > 0, 0.0, np.nan))
    return np.stack([segmentation * recognition, segmentation, recognition], 1)


@METRICS.register_module()
class PanopticMetric(BaseMetric):
    """COCO's panoptic quality: PQ, SQ and RQ, and `PQ_things`, `PQ_stuff` and so on, each in 0 .. 1.

    mmdetection's needs panopticapi and writes every prediction to a file first.
    `per_class` holds the last scores: class name -> {'PQ', 'SQ', 'RQ', 'TP', 'FP', 'FN'}, None for the qualities of a
    class that neither occurs nor is found.

    Args:
        data_root: of the dataset.
        ann_file: the panoptic json below it.
        seg_prefix: the folder of the panoptic maps below it.
        collect_device, prefix: described in mmengine's `BaseMetric`.

    Raises ValueError where the file's classes are not the dataset's, a map is not what its json says, or a prediction
    is not as large as its truth.
    """

    def __init__(
        self, *, data_root: str, ann_file: str, seg_prefix: str, collect_device: str = 'cpu', prefix: str | None = None
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.file = str(Path(data_root) / ann_file)
        self.maps = Path(data_root) / seg_prefix
        self.coco = COCOPanoptic(self.file)
        check_content(self.coco.dataset, file=self.file)
        name_panoptic_maps(self.coco)
        self.label_of: dict[int, int] = {}
        self.per_class: dict[str, dict[str, float | int | None]] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        classes = self.dataset_meta['classes']
        if not self.label_of:
            match_categories(self.coco, classes, file=self.file)
            self.label_of = {category_id: i for i, category_id in enumerate(self.coco.get_cat_ids(cat_names=classes))}
        for sample in data_samples:
            truth = self.truth(sample['img_id'])
            found = decode_prediction(sample['pred_panoptic_seg']['sem_seg'].cpu().numpy()[0], len(self.label_of))
            if truth.numbers.shape != found.numbers.shape:
                raise ValueError(
                    f"The prediction for image {sample['img_id']} is {found.numbers.shape}, its map in '{self.maps}' "
                    f'{truth.numbers.shape} (H, W): the model must predict at the size of the file.'
                )
            self.results.append(match_segments(truth, found, len(self.label_of)))

    def truth(self, image_id: int | str) -> Segments:
        path = self.maps / self.coco.imgs[image_id]['segm_file']
        data = path.read_bytes()
        check_map_format(str(path), data)
        with Image.open(BytesIO(data)) as image:
            colors = np.asarray(image.convert('RGB'))
        rows = self.coco.imgToAnns[image_id]
        labels = [self.label_of[row['category_id']] for row in rows]
        ids, crowd = [row['id'] for row in rows], [row.get('iscrowd', 0) for row in rows]
        return read_segments(str(path), colors, ids, labels, crowd)

    def compute_metrics(self, results: list) -> dict[str, float]:
        classes = self.dataset_meta['classes']
        counts = np.sum(results, 0)
        table = qualities(counts)
        for name, row, found in zip(classes, table.tolist(), counts[:, 1:].astype(int).tolist(), strict=True):
            known = (None if np.isnan(value) else round(value, 4) for value in row)
            self.per_class[name] = dict(zip((*QUALITIES, *COUNTS), (*known, *found), strict=True))
        things = np.isin(classes, self.dataset_meta['thing_classes'])
        scores: dict[str, float] = {}
        for suffix, members in (('', things | True), ('_things', things), ('_stuff', ~things)):
            rows = table[members & ~np.isnan(table[:, 0])]
            means = rows.mean(0) if len(rows) else np.zeros(3)
            names = [f'{name}{suffix}' for name in QUALITIES]
            scores |= dict(zip(names, means.round(4).tolist(), strict=True))
        return scores


def decode_prediction(panoptic: np.ndarray, num_classes: int) -> Segments:
    """mmdetection's map, (H, W), of class + 1000 * instance, where `num_classes` stands for nothing."""
    ids = [i for i in np.unique(panoptic).tolist() if i % INSTANCE_OFFSET < num_classes]
    return number_segments(panoptic, ids, [i % INSTANCE_OFFSET for i in ids])
