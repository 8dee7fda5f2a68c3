"""Scores of semantic segmentation."""

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.evaluation import IoUMetric
from torch import Tensor

from denseformer.registry import METRICS


@METRICS.register_module()
class SegmentationMetric(IoUMetric):
    """mmseg's IoUMetric that counts pixels exactly and keeps its table per class in `per_class`.

    mmseg counts in float32, which stops at 2**24 pixels of a class.

    per_class: class name -> {'IoU', 'Acc', 'pixels'}; IoU and recall in percent, None for a class that neither occurs
    nor is predicted; pixels labelled as the class.

    Args:
        iou_metrics: of 'mIoU', 'mDice' and 'mFscore'. A class's Dice is its F1; in mFscore a class that is never found
            does not count.
        left_out: names of classes that no score counts, as face parsing has it with the background.
        options: the others of mmsegmentation's `IoUMetric`.
    """

    def __init__(self, iou_metrics: tuple[str, ...] = ('mIoU',), left_out: Sequence[str] = (), **options: Any):
        super().__init__(iou_metrics=list(iou_metrics), **options)
        self.left_out = left_out
        self.per_class: dict[str, dict[str, float | int | None]] = {}

    @staticmethod
    def intersect_and_union(
        pred_label: Tensor, label: Tensor, num_classes: int, ignore_index: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pixels per class of two maps (H, W): in both, in either, in the prediction, in the label; (K,) int64 each."""
        known = label != ignore_index
        pred_label, label = pred_label[known].long(), label[known].long()  # one logit is decided in floating point
        both, found, true = (
            torch.bincount(pixels, minlength=num_classes)[:num_classes].cpu()
            for pixels in (label[pred_label == label], pred_label, label)
        )
        return both, found + true - both, found, true

    def compute_metrics(self, results: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]) -> dict[str, float]:
        if self.format_only:
            return super().compute_metrics(list(results))
        totals = [sum(areas) for areas in zip(*results, strict=True)]  # int64; float64 holds them exactly
        counted = torch.tensor([name not in self.left_out for name in self.dataset_meta['classes']])
        metrics = super().compute_metrics([tuple(total * counted.double() for total in totals)])
        intersect, union, _, label = (total.tolist() for total in totals)
        self.per_class = {
            name: {'IoU': percent(i, u), 'Acc': percent(i, n), 'pixels': n}
            for name, i, u, n in zip(self.dataset_meta['classes'], intersect, union, label, strict=True)
        }
        return metrics


def percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 2) if whole else None
