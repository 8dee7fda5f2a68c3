"""Scores of detections at their two ends, the truth itself and nothing at all, and of known mistakes between them."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as rle

from denseformer.datasets.sample import THING_CLASSES, ensure_sample_set
from denseformer.detection.metrics.parts import mean_of_known
from denseformer.registry import METRICS

ANNOTATIONS = 'instances_validation.json'
KINDS = ('CocoMetric', 'VOCMetric')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return ensure_sample_set(tmp_path_factory.mktemp('metric') / 'sample', train=1, val=6, size=96)


@pytest.fixture(scope='module')
def samples(root):
    """Predictions of a perfect detector, image by image, with the truth packed beside them."""
    content = json.loads((root / ANNOTATIONS).read_text())
    return [as_sample(image, content['annotations']) for image in content['images']]


def as_sample(image: dict, annotations: list[dict]) -> dict:
    size = image['height'], image['width']
    rows = [row for row in annotations if row['image_id'] == image['id']]
    boxes = torch.tensor([row['bbox'] for row in rows], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    masks = [rle.decode(rle.merge(rle.frPyObjects(row['segmentation'], *size))).astype(bool) for row in rows]
    labels = torch.tensor([row['category_id'] - 1 for row in rows], dtype=torch.long)
    found = {
        'bboxes': boxes,
        'scores': torch.ones(len(rows)),
        'labels': labels,
        'masks': torch.from_numpy(np.stack(masks)) if masks else torch.zeros((0, *size), dtype=torch.bool),
    }
    truth = [
        {'bbox': box, 'bbox_label': label, 'ignore_flag': 0}
        for box, label in zip(boxes.tolist(), labels.tolist(), strict=True)
    ]
    return {'img_id': image['id'], 'ori_shape': size, 'pred_instances': found, 'instances': truth}


def keep(sample: dict, chosen) -> dict:
    """The sample with some of what is found in it: an index of the rows."""
    return {**sample, 'pred_instances': {key: value[chosen] for key, value in sample['pred_instances'].items()}}


def evaluate(samples: list[dict], root=None, kind: str = 'CocoMetric', classes=THING_CLASSES, **options):
    """(scores, metric); with `root` the truth comes from the annotation file, without it from the samples."""
    places = {'data_root': str(root), 'ann_file': ANNOTATIONS} if root else {}
    metric = METRICS.build(dict(type=f'denseformer.{kind}', **places, **options))
    metric.dataset_meta = {'classes': classes}
    metric.process({}, samples)
    return metric.evaluate(len(samples)), metric


def objects(samples: list[dict]) -> np.ndarray:
    """How many there are of each class."""
    labels = torch.cat([sample['pred_instances']['labels'] for sample in samples])
    return torch.bincount(labels, minlength=len(THING_CLASSES)).numpy()


def test_the_truth_scores_1(root, samples):
    scores, metric = evaluate(samples, root)
    assert (scores['bbox_mAP'], scores['segm_mAP']) == (1.0, 1.0)
    assert list(metric.per_class) == list(THING_CLASSES)
    assert all(row['bbox_mAP'] == row['segm_mAP_50'] == 1.0 for row in metric.per_class.values())
    assert [row['objects'] for row in metric.per_class.values()] == objects(samples).tolist()
    assert (metric.confusion == np.diag([*objects(samples), 0])).all()


def test_nothing_scores_0(root, samples):
    scores, metric = evaluate([keep(sample, slice(0)) for sample in samples], root)
    assert (scores['bbox_mAP'], scores['segm_mAP']) == (0.0, 0.0)
    assert all(row['bbox_mAP'] == 0.0 for row in metric.per_class.values())
    assert (metric.confusion[:-1, -1] == objects(samples)).all()
    assert metric.confusion.sum() == objects(samples).sum()


@pytest.mark.parametrize('found', [1.0, 0.0])
@pytest.mark.parametrize('mode', ['area', '11points'])
def test_both_ends_of_voc_scores(samples, found, mode):
    chosen = samples if found else [keep(sample, slice(0)) for sample in samples]
    scores, metric = evaluate(chosen, kind='VOCMetric', eval_mode=mode)
    assert scores == {'mAP': pytest.approx(found)}
    assert all(row['AP'] == pytest.approx(found) for row in metric.per_class.values())


def test_boxes_can_be_scored_against_what_the_dataset_read(root, samples):
    half = [keep(sample, slice(0, 1)) for sample in samples]
    from_file, _ = evaluate(half, root, metric=['bbox'])
    from_samples, _ = evaluate(half, metric=['bbox'])
    assert from_file['bbox_mAP'] == from_samples['bbox_mAP'] < 1


def test_a_class_that_is_never_found_scores_0_and_the_others_1(root, samples):
    chosen = [keep(sample, sample['pred_instances']['labels'] != 2) for sample in samples]
    scores, metric = evaluate(chosen, root)
    assert scores['bbox_mAP'] == pytest.approx(0.8)
    assert {name: row['bbox_mAP'] for name, row in metric.per_class.items()} == {
        name: 0.0 if i == 2 else 1.0 for i, name in enumerate(THING_CLASSES)
    }
    assert metric.confusion[2, -1] == objects(samples)[2]


def test_classes_taken_for_each_other_stand_beside_the_diagonal(samples):
    swapped = [keep(sample, slice(None)) for sample in samples]
    for sample in swapped:
        sample['pred_instances']['labels'] = (sample['pred_instances']['labels'] + 1) % len(THING_CLASSES)
    _, metric = evaluate(swapped, metric=['bbox'])
    K = len(THING_CLASSES)
    assert (metric.confusion[np.arange(K), (np.arange(K) + 1) % K] == objects(samples)).all()
    assert metric.confusion.sum() == objects(samples).sum()


def test_uncertain_and_doubled_objects(samples):
    sample = next(sample for sample in samples if len(sample['pred_instances']['labels']) > 1)
    doubled = keep(sample, torch.tensor([0, 0, 1]))
    doubled['pred_instances']['scores'] = torch.tensor([0.9, 0.8, 0.2])
    _, metric = evaluate([doubled], metric=['bbox'], score=0.5)
    first, K = int(sample['pred_instances']['labels'][0]), len(THING_CLASSES)
    assert metric.confusion[first, first] == 1
    assert metric.confusion[K, first] == 1
    assert metric.confusion[:-1, -1].sum() == len(sample['instances']) - 1


@pytest.mark.parametrize(('right', 'expected'), [(1.0, 1.0), (0.9, 0.0)])
def test_boxes_of_voc_are_as_wide_as_their_pixels(right, expected):
    """The true one is of the pixels 1 and 2 in VOC's counting; half of the union is enough for a match."""
    found = {'bboxes': torch.tensor([[0, 0, right, 1]]), 'scores': torch.ones(1), 'labels': torch.zeros(1, dtype=int)}
    truth = [{'bbox': [0.0, 0.0, 2.0, 1.0], 'bbox_label': 0, 'ignore_flag': 0}]
    sample = {'img_id': 1, 'ori_shape': (4, 4), 'pred_instances': found, 'instances': truth}
    scores, _ = evaluate([sample], kind='VOCMetric')
    assert scores == {'mAP': expected}


@pytest.mark.parametrize('kind', KINDS)
def test_what_lies_on_ignored_objects_counts_neither_way(samples, kind):
    ignoring = [
        {**sample, 'instances': [{**row, 'ignore_flag': int(row['bbox_label'] == 0)} for row in sample['instances']]}
        for sample in samples
    ]
    options = {} if kind == 'VOCMetric' else {'metric': ['bbox']}
    scores, metric = evaluate(ignoring, kind=kind, **options)
    assert next(iter(scores.values())) == pytest.approx(1.0)
    unknown = metric.per_class[THING_CLASSES[0]]
    assert unknown['objects'] == 0
    assert unknown[next(iter(unknown))] is None
    assert metric.confusion.sum() == objects(samples)[1:].sum()


def test_labels_follow_names_whatever_the_order_of_the_file(root, samples):
    order = [3, 1, 4, 0, 2]
    renamed = [keep(sample, slice(None)) for sample in samples]
    for sample in renamed:
        sample['pred_instances']['labels'] = torch.argsort(torch.tensor(order))[sample['pred_instances']['labels']]
    scores, _ = evaluate(renamed, root, classes=tuple(THING_CLASSES[i] for i in order))
    assert scores['segm_mAP'] == 1.0


def test_masks_that_a_model_does_not_find_are_an_error(root, samples):
    boxes = [keep(sample, slice(None)) for sample in samples]
    for sample in boxes:
        del sample['pred_instances']['masks']
    with pytest.raises(ValueError, match=r"metric=\['bbox'\]"):
        evaluate(boxes, root)


@pytest.mark.parametrize(('kind', 'options'), [('CocoMetric', {'metric': ['mask']}), ('VOCMetric', {'eval_mode': 'x'})])
def test_unknown_options_are_named(kind, options):
    with pytest.raises(ValueError, match=r"'bbox', 'segm'|'area' or '11points'"):
        METRICS.build(dict(type=f'denseformer.{kind}', **options))


def test_parts_of_a_test_are_scored_by_themselves_and_on_average(root, samples):
    metric = METRICS.build(
        dict(
            type='denseformer.CocoPartsMetric',
            data_root=str(root),
            parts=dict(easy=ANNOTATIONS, hidden=ANNOTATIONS),
            metric=['bbox'],
        )
    )
    metric.dataset_meta = {'classes': THING_CLASSES}
    for sample in samples:  # both parts have the same image ids
        metric.process({}, [{**sample, 'img_path': 'data/hidden/easy/1.png'}])
        metric.process({}, [{**keep(sample, slice(0)), 'img_path': 'data/hidden/1.png'}])
    scores = metric.evaluate(2 * len(samples))
    assert (scores['easy_bbox_mAP'], scores['hidden_bbox_mAP'], scores['bbox_mAP']) == (1.0, 0.0, 0.5)
    assert metric.per_class['star']['easy_bbox_mAP'] == 1.0
    assert (metric.confusion.diagonal()[:-1] == objects(samples)).all()
    assert metric.confusion.sum() == 2 * objects(samples).sum()
    with pytest.raises(ValueError, match="No image of the part 'easy' was predicted"):
        metric.compute_metrics([])
    with pytest.raises(ValueError, match='no folder of the parts easy, hidden'):
        metric.part_of('data/elsewhere/1.png')


def test_a_part_without_objects_of_a_size_leaves_the_mean_to_the_others():
    assert mean_of_known([-1.0, 0.4, 0.2]) == pytest.approx(0.3)
    assert mean_of_known([-1.0, -1.0]) == -1.0
