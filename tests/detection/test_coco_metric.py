"""COCO scores at their two ends: the truth itself, and nothing at all."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as rle

from denseformer.datasets.sample import THING_CLASSES, ensure_sample_set
from denseformer.registry import METRICS

ANNOTATIONS = 'instances_validation.json'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return ensure_sample_set(tmp_path_factory.mktemp('metric') / 'sample', train=1, val=3, size=96)


def score(root, keep: bool) -> dict[str, float]:
    """The scores of a prediction that is the truth, or that finds nothing."""
    metric = METRICS.build(dict(type='denseformer.CocoMetric', data_root=str(root), ann_file=ANNOTATIONS))
    metric.dataset_meta = {'classes': THING_CLASSES}
    content = json.loads((root / ANNOTATIONS).read_text())
    for image in content['images']:
        size = image['height'], image['width']
        truth = [row for row in content['annotations'] if keep and row['image_id'] == image['id']]
        boxes = torch.tensor([row['bbox'] for row in truth], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        masks = [rle.decode(rle.merge(rle.frPyObjects(row['segmentation'], *size))).astype(bool) for row in truth]
        instances = {
            'bboxes': boxes,
            'scores': torch.ones(len(truth)),
            'labels': torch.tensor([row['category_id'] - 1 for row in truth], dtype=torch.long),
            'masks': torch.from_numpy(np.stack(masks)) if masks else torch.zeros((0, *size), dtype=torch.bool),
        }
        metric.process({}, [{'img_id': image['id'], 'ori_shape': size, 'pred_instances': instances}])
    return metric.evaluate(len(content['images']))


def test_the_truth_scores_1(root):
    scores = score(root, keep=True)
    assert (scores['bbox_mAP'], scores['segm_mAP']) == (1.0, 1.0)


def test_nothing_scores_0(root):
    scores = score(root, keep=False)
    assert (scores['bbox_mAP'], scores['segm_mAP']) == (0.0, 0.0)
