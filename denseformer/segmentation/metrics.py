"""Scores of semantic segmentation."""

from mmseg.evaluation import IoUMetric

from denseformer.registry import METRICS


@METRICS.register_module()
class SegmentationMetric(IoUMetric):
    """mmseg's IoUMetric that keeps its table per class in `per_class`.

    per_class: class name -> {'IoU', 'Acc', 'pixels'}; IoU and recall in percent, None for a class that neither occurs
    nor is predicted; pixels labelled as the class.
    """

    def __init__(self, iou_metrics: tuple[str, ...] = ('mIoU',), **options):
        super().__init__(iou_metrics=list(iou_metrics), **options)
        self.per_class: dict[str, dict[str, float | int | None]] = {}

    def compute_metrics(self, results: list) -> dict[str, float]:
        metrics = super().compute_metrics(results)
        intersect, union, _, label = (sum(areas).tolist() for areas in zip(*results, strict=True))
        self.per_class = {
            name: {'IoU': percent(i, u), 'Acc': percent(i, n), 'pixels': int(n)}
            for name, i, u, n in zip(self.dataset_meta['classes'], intersect, union, label, strict=True)
        }
        return metrics


def percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 2) if whole else None
