"""Scores of video object segmentation: the region similarity J and the contour accuracy F of DAVIS.

Definitions: "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016,
https://davischallenge.org.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from scipy.ndimage import distance_transform_edt

from denseformer.registry import METRICS

TOLERANCE = 0.008
"""How far a contour may lie off, in diagonals of the frame."""
RECALLED = 0.5
"""A frame of a better score is recalled."""
QUARTERS = 4
"""Decay is the mean of the first part of the frames minus that of the last, of as many parts."""


@METRICS.register_module()
class VideoObjectMetric(BaseMetric):
    """J and F per frame, their means per video, and the means of these over videos, in percent.

    Scores: `J&F`, and of each of J and F the `mean`, the `recall` (the share of frames above 0.5) and the `decay` over
    the video, as the evaluation of DAVIS 2017 has them. Videos are the folders of frames.

    Args:
        skip_first, skip_last: leave out that frame of each video: it has no flow from where the flow is backward, to
            where it is forward.
        options: of mmengine's `BaseMetric`.

    per_video: video -> {'J', 'F'}, means over its frames in percent.
    """

    default_prefix = None

    def __init__(self, *, skip_first: bool = False, skip_last: bool = False, **options: Any):
        super().__init__(**options)
        self.skip_first, self.skip_last = skip_first, skip_last
        self.per_video: dict[str, dict[str, float]] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            path = PurePath(sample['img_path'])
            found, true = (
                np.asarray(sample[key]['data'].cpu()).squeeze() == 1 for key in ('pred_sem_seg', 'gt_sem_seg')
            )
            self.results.append((str(path.parent), path.stem, region_similarity(found, true), contour(found, true)))

    def compute_metrics(self, results: list[tuple[str, str, float, float]]) -> dict[str, float]:
        videos = defaultdict(list)
        for video, _, *scores in sorted(results):
            videos[video].append(scores)
        first, last = int(self.skip_first), -1 if self.skip_last else None
        kept = {video: 100 * np.array(scores)[first:last] for video, scores in videos.items()}
        kept = {video: scores for video, scores in kept.items() if len(scores)}
        if not kept:
            raise ValueError('No video has a frame that is scored: skip_first and skip_last leave none.')
        self.per_video = {
            PurePath(video).name: {'J': round(float(j), 2), 'F': round(float(f), 2)}
            for video, (j, f) in ((video, scores.mean(0)) for video, scores in kept.items())
        }
        metrics = {}
        for name, i in (('J', 0), ('F', 1)):
            each = [scores[:, i] for scores in kept.values()]
            metrics[f'{name}_mean'] = np.mean([x.mean() for x in each])
            metrics[f'{name}_recall'] = 100 * np.mean([(x > 100 * RECALLED).mean() for x in each])
            metrics[f'{name}_decay'] = np.mean([decay(x) for x in each])
        metrics = {'J&F': (metrics['J_mean'] + metrics['F_mean']) / 2, **metrics}
        return {name: round(float(value), 2) for name, value in metrics.items()}


def decay(scores: np.ndarray) -> float:
    """How much the scores of a video (n,) fall from its first quarter to its last; neighbors share a frame."""
    ends = np.floor(np.linspace(0, len(scores) - 1, QUARTERS + 1) + 0.5).astype(int)
    return float(scores[: ends[1] + 1].mean() - scores[ends[-2] :].mean())


def region_similarity(found: np.ndarray, true: np.ndarray) -> float:
    """J of two masks (H, W): their intersection over their union, 1 where both are empty."""
    union = (found | true).sum()
    return float((found & true).sum() / union) if union else 1.0


def contour(found: np.ndarray, true: np.ndarray) -> float:
    """F of two masks (H, W): the harmonic mean of the shares of either contour that lie near the other one."""
    reach = np.ceil(TOLERANCE * np.hypot(*true.shape))
    lines = boundary(found), boundary(true)
    counts = [line.sum() for line in lines]
    if not all(counts):
        return float(counts[0] == counts[1])
    precision, recall = (
        (line & (distance_transform_edt(~other) <= reach)).sum() / count
        for line, other, count in zip(lines, lines[::-1], counts, strict=True)
    )
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask (H, W) that differ from the next one to the right, below, or both: (H, W)."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode='edge')
    return (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])
