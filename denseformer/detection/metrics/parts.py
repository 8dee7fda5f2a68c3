"""Scores of several test sets that are predicted in one go."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from denseformer.detection.metrics.average_precision import CocoMetric
from denseformer.registry import METRICS


@METRICS.register_module()
class CocoPartsMetric(BaseMetric):
    """`CocoMetric` of each part of a test, as `easy_bbox_mAP`, and the means over parts, as `bbox_mAP`; 0 .. 1.

    A mean is over the parts that have true objects to score, -1 where none has, as for a size of objects.

    per_class: class name -> the parts' scores, under the same names.
    confusion: the sum of the parts' `CocoMetric.confusion`.

    Args:
        parts: name -> file of annotations below data_root. A part's images lie in a folder of the part's name.
        data_root: of all parts.
        metric, score, collect_device: `CocoMetric`'s.

    Raises ValueError for an image of no part, and for a part without images.
    """

    def __init__(
        self,
        *,
        parts: Mapping[str, str],
        data_root: str = '',
        metric: Sequence[str] = ('bbox', 'segm'),
        score: float = 0.3,
        collect_device: str = 'cpu',
    ):
        super().__init__(collect_device)
        self.parts = {
            name: CocoMetric(data_root=data_root, ann_file=file, metric=metric, score=score)
            for name, file in parts.items()
        }
        self.per_class: dict[str, dict[str, float | int | None]] = {}
        self.confusion: np.ndarray | None = None

    @property
    def classes(self) -> Sequence[str]:
        return self.dataset_meta['classes']

    def part_of(self, path: str) -> str:
        """The nearest folder of an image that is a part's."""
        for folder in PurePath(path).parents:
            if folder.name in self.parts:
                return folder.name
        raise ValueError(f"'{path}' lies in no folder of the parts {', '.join(self.parts)}.")

    def process(self, data_batch: Any, data_samples: Sequence[Mapping]) -> None:
        for sample in data_samples:
            name = self.part_of(sample['img_path'])
            self.parts[name].process(data_batch, [sample])
            self.results.append((name, self.parts[name].results.pop()))

    def compute_metrics(self, results: list) -> dict[str, float]:
        scores: dict[str, float] = {}
        self.per_class = {name: {} for name in self.classes}
        for name, metric in self.parts.items():
            metric.dataset_meta = self.dataset_meta
            own = [each for part, each in results if part == name]
            if not own:
                raise ValueError(
                    f"No image of the part '{name}' was predicted: the test's dataset needs images of "
                    f'{", ".join(self.parts)}, or the evaluator fewer parts.'
                )
            found = metric.compute_metrics(own)
            scores |= {f'{name}_{key}': value for key, value in found.items()}
            for row, of_part in zip(self.per_class.values(), metric.per_class.values(), strict=True):
                row |= {f'{name}_{key}': value for key, value in of_part.items()}
        counts = [metric.confusion for metric in self.parts.values() if metric.confusion is not None]
        self.confusion = np.sum(counts, 0)
        return {**scores, **{key: mean_of_known([scores[f'{name}_{key}'] for name in self.parts]) for key in found}}


def mean_of_known(scores: Sequence[float]) -> float:
    known = [score for score in scores if score >= 0]
    return float(np.mean(known)) if known else -1.0
