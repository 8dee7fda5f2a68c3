"""Fashionpedia's average precision of IoU and F1: at its ends, and of known mistakes in attributes."""

import json

import numpy as np
import pytest
import torch

from denseformer.detection.metrics.attributes import f1_scores
from denseformer.registry import METRICS

BOXES = [[10.0, 10.0, 40.0, 30.0], [60.0, 20.0, 30.0, 60.0], [5.0, 60.0, 20.0, 30.0]]
IDS = [[7, 9], [], [8]]
"""Of the objects, whose attributes are 7, 8 and 9; the second one's class has none."""


@pytest.fixture
def root(tmp_path):
    rows = [
        dict(id=i + 1, image_id=1, category_id=i % 2 + 1, bbox=box, area=box[2] * box[3], iscrowd=0, attribute_ids=ids)
        for i, (box, ids) in enumerate(zip(BOXES, IDS, strict=True))
    ]
    content = dict(
        images=[dict(id=1, file_name='1.jpg', width=100, height=100)],
        annotations=rows,
        categories=[dict(id=1, name='coat'), dict(id=2, name='belt')],
        attributes=[dict(id=each, name=f'attribute {each}') for each in (9, 7, 8)],
    )
    (tmp_path / 'truth.json').write_text(json.dumps(content))
    return tmp_path


def evaluate(root, attributes, **options) -> dict:
    metric = METRICS.build(
        dict(type='denseformer.AttributeMetric', data_root=str(root), ann_file='truth.json', metric=['bbox'], **options)
    )
    metric.dataset_meta = dict(classes=('coat', 'belt'))
    boxes = torch.tensor(BOXES)
    boxes[:, 2:] += boxes[:, :2]
    found = dict(
        bboxes=boxes, scores=torch.ones(3), labels=torch.tensor([0, 1, 0]), attributes=torch.tensor(attributes)
    )
    metric.process({}, [dict(img_id=1, ori_shape=(100, 100), pred_instances=found)])
    return metric.evaluate(1)


def test_the_truth_scores_1(root):
    scores = evaluate(root, [[0.9, 0.1, 0.8], [0.0, 0.0, 0.0], [0.2, 0.7, 0.1]])
    assert scores['bbox_mAP'] == scores['bbox_mAP_f1'] == scores['bbox_mAP_f1_50'] == 1


def test_wrong_attributes_cost_where_classes_have_them(root):
    scores = evaluate(root, [[0.1, 0.9, 0.1], [1.0, 1.0, 1.0], [0.9, 0.1, 0.9]])
    assert scores['bbox_mAP'] == 1
    assert scores['bbox_mAP_f1'] == pytest.approx(1 / 11, abs=1e-3)  # the belt, beside ten thresholds of the coats
    assert scores['bbox_mAP_f1_50'] == pytest.approx(0.5)


def test_half_right_attributes_count_up_to_their_f1(root):
    scores = evaluate(root, [[0.9, 0.1, 0.1], [0.0, 0.0, 0.0], [0.1, 0.9, 0.1]])
    # the first coat has an F1 of 2/3: at 0.7 and above it is wrong, and 51 of 101 recalls have a precision of a half
    assert scores['bbox_mAP_f1'] == pytest.approx((1 + 4 + 6 * 0.5 * 51 / 101) / 11, abs=1e-3)


def test_classes_may_be_named_whose_attributes_count(root):
    wrong = [[0.1, 0.9, 0.1], [1.0, 1.0, 1.0], [0.9, 0.1, 0.9]]
    assert evaluate(root, wrong, described=[])['bbox_mAP_f1'] == 1
    assert evaluate(root, wrong, described=['coat', 'belt'])['bbox_mAP_f1'] == 0


def test_f1_is_the_mean_of_marks_and_of_their_absence():
    found, truth = np.array([[1, 0, 0, 0], [0, 0, 0, 0]]), np.array([[1, 1, 0, 0], [0, 0, 0, 0]])
    assert f1_scores(found, truth) == pytest.approx(np.array([[(2 / 3 + 0.8) / 2, (6 / 7) / 2], [(4 / 6) / 2, 1.0]]))


def test_a_model_without_attributes_is_told_the_other_metric(root):
    metric = METRICS.build(dict(type='denseformer.AttributeMetric', data_root=str(root), ann_file='truth.json'))
    found = dict(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match='CocoMetric'):
        metric.process({}, [dict(img_id=1, ori_shape=(100, 100), pred_instances=found)])
