"""Pixels are counted exactly, however many there are."""

import pytest
import torch
from mmseg.evaluation import IoUMetric

from denseformer.segmentation import SegmentationMetric


def built(classes: int) -> SegmentationMetric:
    metric = SegmentationMetric()
    metric.dataset_meta = {'classes': [f'class {i}' for i in range(classes)]}
    return metric


def scored(metric: SegmentationMetric, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, float]:
    """Scores of pairs of a predicted and a true map, (H, W)."""
    for found, true in pairs:
        metric.process({}, [{'pred_sem_seg': {'data': found[None]}, 'gt_sem_seg': {'data': true[None]}}])
    return metric.evaluate(len(pairs))


def test_more_pixels_of_a_class_than_float32_counts_are_all_counted():
    side = 5888  # 34.7 million pixels, more than 2**25
    true = torch.zeros(side, side, dtype=torch.uint8)
    found = true.clone()
    found[:, : side // 8] = 1
    metric = built(2)
    scores = scored(metric, [(found, true)])
    assert scores['aAcc'] == 87.5
    assert metric.per_class['class 0'] == {'IoU': 87.5, 'Acc': 87.5, 'pixels': side * side}
    assert metric.per_class['class 1'] == {'IoU': 0.0, 'Acc': None, 'pixels': 0}


def test_sums_over_many_images_stay_exact():
    metric = built(2)
    odd = torch.tensor([2**24 + 1, 3])
    metric.results = [(odd, odd, odd, odd)] * 3
    metric.compute_metrics(metric.results)
    assert metric.per_class['class 0']['pixels'] == 3 * (2**24 + 1)


@pytest.mark.parametrize('dtype', [torch.int64, torch.uint8])
def test_counts_are_those_of_mmseg_where_it_counts_right(dtype):
    generator = torch.Generator().manual_seed(0)
    found, true = torch.randint(5, (2, 40, 30), generator=generator).to(dtype)
    true[:3] = 255
    ours = SegmentationMetric.intersect_and_union(found, true, 5, 255)
    theirs = IoUMetric.intersect_and_union(found, true, 5, 255)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == torch.int64
        assert mine.tolist() == other.tolist()


def test_a_map_of_ignored_pixels_alone_counts_nothing():
    ignored = torch.full((4, 4), 255)
    counts = SegmentationMetric.intersect_and_union(torch.zeros(4, 4, dtype=torch.int64), ignored, 3, 255)
    assert [count.tolist() for count in counts] == [[0, 0, 0]] * 4


def test_classes_that_are_left_out_count_in_no_mean():
    metric = SegmentationMetric(iou_metrics=('mDice',), left_out=['background'])
    metric.dataset_meta = {'classes': ('background', 'eye', 'nose')}
    scores = scored(metric, [(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 2]]))])
    assert scores['mDice'] == 25.0  # the mean of a half and of 0
