"""Panoptic quality at its two ends and in cases worked out by hand; panoptic maps as they are read."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from denseformer.datasets.sample import CLASSES, THING_CLASSES, ensure_sample_set
from denseformer.detection.metrics.panoptic_quality import match_segments, qualities
from denseformer.detection.panoptic_maps import Segments, number_segments, segment_ids
from denseformer.registry import DATASETS, METRICS

JSON, MAPS = 'panoptic_validation.json', 'panoptic_validation'
VOID = len(CLASSES)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return ensure_sample_set(tmp_path_factory.mktemp('panoptic') / 'sample', train=1, val=3, size=96)


@pytest.fixture
def metric(root):
    metric = METRICS.build(dict(type='denseformer.PanopticMetric', data_root=str(root), ann_file=JSON, seg_prefix=MAPS))
    metric.dataset_meta = {'classes': CLASSES, 'thing_classes': THING_CLASSES}
    return metric


def predict(metric, root, draw) -> dict[str, float]:
    """The scores where `draw` makes the prediction, (H, W), of each image's ids and segments."""
    content = json.loads((root / JSON).read_text())
    for row in content['annotations']:
        ids = segment_ids(np.asarray(Image.open(root / MAPS / row['file_name'])))
        found = torch.from_numpy(draw(ids, row['segments_info']).astype(np.int32))
        metric.process({}, [{'img_id': row['image_id'], 'pred_panoptic_seg': {'sem_seg': found[None]}}])
    return metric.evaluate(len(content['annotations']))


def truth(ids: np.ndarray, segments: list[dict]) -> np.ndarray:
    """The truth as mmdetection's detectors would predict it."""
    panoptic = np.full(ids.shape, VOID)
    for number, segment in enumerate(segments, 1):
        panoptic[ids == segment['id']] = segment['category_id'] - 1 + 1000 * number * segment['isthing']
    return panoptic


def test_the_truth_scores_1(metric, root):
    scores = predict(metric, root, truth)
    assert [scores[key] for key in ('PQ', 'SQ', 'RQ', 'PQ_things', 'PQ_stuff')] == [1.0] * 5
    assert all(row['PQ'] in (1.0, None) and row['FP'] == row['FN'] == 0 for row in metric.per_class.values())


def test_nothing_scores_0(metric, root):
    scores = predict(metric, root, lambda ids, segments: np.full(ids.shape, VOID))
    assert set(scores.values()) == {0.0}
    assert sum(row['FN'] for row in metric.per_class.values()) > 0
    assert all(row['TP'] == row['FP'] == 0 for row in metric.per_class.values())


def test_the_wrong_class_scores_0(metric, root):
    def shifted(ids, segments):
        panoptic = truth(ids, segments)
        return np.where(panoptic == VOID, VOID, panoptic // 1000 * 1000 + (panoptic % 1000 + 1) % VOID)

    assert predict(metric, root, shifted)['PQ'] == 0.0


def test_a_prediction_of_another_size_is_an_error(metric, root):
    with pytest.raises(ValueError, match='at the size of the file'):
        predict(metric, root, lambda ids, segments: np.full((8, 8), VOID))


def test_class_names_that_the_file_does_not_have_are_an_error(metric, root):
    metric.dataset_meta = {'classes': ('star', 'sun'), 'thing_classes': ('star', 'sun')}
    with pytest.raises(ValueError, match='sun'):
        predict(metric, root, truth)


def segments(rows: list[str], labels: list[int], crowd: list[bool] | None = None) -> Segments:
    numbers = np.array([[int(letter) for letter in row] for row in rows])
    return Segments(numbers, np.array(labels), np.array(crowd or [False] * len(labels), bool))


def test_quality_of_a_case_worked_out_by_hand():
    true = segments(['1111', '1122', '0022'], [0, 0])
    found = segments(['1111', '1112', '0222'], [0, 0])
    # 1: 6 of 7 pixels shared; 2: 3 of 4, and one of its own on an unlabelled pixel, which does not count
    counts = match_segments(true, found, 2)
    np.testing.assert_allclose(counts[0], [6 / 7 + 3 / 4, 2, 0, 0])
    np.testing.assert_allclose(qualities(counts)[0], [(6 / 7 + 3 / 4) / 2, (6 / 7 + 3 / 4) / 2, 1.0])
    assert np.isnan(qualities(counts)[1]).all()  # the class neither occurs nor is found


def test_half_of_the_union_is_no_match():
    counts = match_segments(segments(['11', '11'], [0]), segments(['11', '00'], [0]), 1)
    assert counts.tolist() == [[0, 0, 1, 1]]
    assert qualities(counts).tolist() == [[0, 0, 0]]


def test_what_lies_on_a_crowd_of_its_class_or_on_nothing_is_not_too_many():
    true = segments(['1122', '1100'], [0, 1], [True, False])
    assert match_segments(true, segments(['1000', '1000'], [0]), 2).tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]
    assert match_segments(true, segments(['1000', '1000'], [1]), 2)[1].tolist() == [0, 0, 1, 1]
    assert match_segments(true, segments(['0000', '0011'], [1]), 2)[1].tolist() == [0, 0, 0, 1]


def test_a_map_of_ids_is_numbered_whatever_the_order_of_the_list():
    ids = np.array([[70000, 5], [0, 9]])
    found = number_segments(ids, [9, 70000], [2, 4])
    assert found.numbers.tolist() == [[2, 0], [0, 1]]
    assert number_segments(ids, [], []).numbers.sum() == 0


def sample_panoptic(root, **options) -> dict:
    return dict(
        type='denseformer.SamplePanoptic',
        data_root=str(root),
        ann_file=JSON,
        data_prefix=dict(img='images/validation', seg=MAPS),
        pipeline=[dict(type='denseformer.LoadImage'), dict(type='denseformer.LoadPanoptic')],
        **dict(train=1, val=3, size=96),
        **options,
    )


def test_a_panoptic_map_is_read_into_masks_of_things_and_classes_of_pixels(root):
    dataset = DATASETS.build(sample_panoptic(root))
    for sample in dataset:
        labels = np.asarray(Image.open(root / 'annotations/validation' / f'{sample["img_path"][-19:-4]}.png'))
        np.testing.assert_array_equal(sample['gt_seg_map'], labels)
        assert len(sample['gt_masks']) == len(sample['gt_bboxes']) == len(sample['gt_bboxes_labels']) > 0
        for mask, label in zip(sample['gt_masks'].masks, sample['gt_bboxes_labels'], strict=True):
            assert set(sample['gt_seg_map'][mask > 0]) == {label}


def test_a_panoptic_map_of_another_size_is_an_error(root, tmp_path):
    dataset = DATASETS.build(sample_panoptic(root))
    for path in (root / MAPS).iterdir():
        Image.new('RGB', (50, 40)).save(tmp_path / path.name)
    row = dataset.get_data_info(0)
    row['seg_map_path'] = str(tmp_path / row['seg_map_path'].rpartition('/')[2])
    with pytest.raises(ValueError, match='40 x 50'):
        dataset.pipeline(row)
