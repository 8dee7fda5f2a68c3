"""Scores of detection and instance segmentation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.evaluation import CocoMetric as MMDetCocoMetric

from denseformer.registry import METRICS

ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """mmdetection's COCO scores, found below the data set's root and under names without a prefix, as `bbox_mAP`.

    A model that finds nothing scores 0; mmdetection's metric then has no scores at all, and the run stops where it
    looks for the best checkpoint.

    Args:
        data_root: of the data set.
        ann_file: the annotations below it.
        metric: 'bbox' for boxes, 'segm' for masks.
        The others are described in mmdetection's `CocoMetric`.
    """

    default_prefix = None

    def __init__(self, *, data_root: str, ann_file: str, metric: Sequence[str] = ('bbox', 'segm'), **options: Any):
        super().__init__(ann_file=str(Path(data_root) / ann_file), metric=list(metric), **options)

    def compute_metrics(self, results: list) -> dict[str, float]:
        scores = super().compute_metrics(results)
        if self.format_only:
            return scores
        items = self.metric_items or ITEMS
        nothing_found = {f'{kind}_{item}': 0.0 for kind in self.metrics if kind in ('bbox', 'segm') for item in items}
        return {**nothing_found, **scores}
