"""Scores agree with slow loops over their definitions, and with pycocotools."""

from contextlib import redirect_stdout

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from denseformer.detection.metrics.confusion import box_overlaps
from denseformer.explain import scores
from denseformer.explain.analysis import analyze
from denseformer.explain.records import Records, level_counts, objects_record


def slow_rates(right: int, extra: int, missed: int) -> list[float]:
    precision = right / (right + extra) if right + extra else np.nan
    recall = right / (right + missed) if right + missed else np.nan
    total = 2 * right + extra + missed
    return [precision, recall, 2 * right / total if total else np.nan]


def test_precision_recall_and_f1_of_pixels_follow_their_definitions():
    rng = np.random.default_rng(0)
    true, found = rng.integers(0, 4, 500), rng.integers(0, 3, 500)  # the last class is never found
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (true, found), 1)
    for label, row in enumerate(scores.precision_recall_f1(confusion)):
        right = sum(t == f == label for t, f in zip(true, found, strict=True))
        expected = slow_rates(right, (found == label).sum() - right, (true == label).sum() - right)
        np.testing.assert_allclose(row, expected)


def test_the_best_threshold_of_objects_is_that_of_trying_all():
    rng = np.random.default_rng(1)
    surety = rng.integers(0, 30, 200) / 30  # many equal ones
    right = rng.random(200) < surety
    best = scores.best_of_objects(surety, right, 150)
    tried = {
        t: slow_rates(
            int(right[surety >= t].sum()), int((~right[surety >= t]).sum()), 150 - int(right[surety >= t].sum())
        )
        for t in np.unique(surety)
    }
    threshold = max(tried, key=lambda t: (tried[t][2], t))
    assert best.threshold == pytest.approx(threshold)
    assert [best.precision, best.recall, best.f1] == pytest.approx(tried[threshold])


def test_the_best_threshold_of_pixels_is_that_of_trying_all_levels():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 3000)
    chances = np.clip(rng.normal(0.35 + 0.3 * labels, 0.2), 0, 1)
    counts = level_counts(np.stack([1 - chances, chances]), labels)[1]
    best = scores.best_of_histogram(*counts.T)
    tried = {}
    for level in range(50):
        found = np.minimum((chances * 50).astype(int), 49) >= level
        right = int((found & (labels == 1)).sum())
        tried[level / 50] = slow_rates(right, int(found.sum()) - right, int(labels.sum()) - right)
    threshold = max(tried, key=lambda t: tried[t][2])
    assert best.threshold == pytest.approx(threshold)
    assert [best.precision, best.recall, best.f1] == pytest.approx(tried[threshold])


def test_nothing_to_find_has_no_rates_and_nothing_found_has_none_right():
    assert np.isnan(scores.best_of_objects(np.array([0.5]), np.array([False]), 0).f1)
    assert scores.best_of_objects(np.zeros(0), np.zeros(0, bool), 3).f1 == 0


def test_scores_that_mean_what_they_say_have_no_calibration_error():
    rng = np.random.default_rng(3)
    said = rng.random(200_000)
    honest = scores.reliability(said, rng.random(200_000) < said)
    boastful = scores.reliability(said, rng.random(200_000) < said**2)
    assert scores.calibration_error(honest) < 0.01
    assert scores.calibration_error(boastful) == pytest.approx(1 / 2 - 1 / 3, abs=0.01)
    assert honest[:, 0].sum() == 200_000


def test_weights_count_as_repeated_images():
    rng = np.random.default_rng(4)
    both, either = rng.random((5, 3)), 1 + rng.random((5, 3))
    weights = np.array([[2.0, 0, 1, 0, 2]])
    drawn = [0, 0, 2, 4, 4]
    expected = 100 * (both[drawn].sum(0) / either[drawn].sum(0)).mean()
    np.testing.assert_allclose(scores.weighted_miou(both, either, weights), expected)
    quality = rng.random((5, 3, 4))
    iou, right, extra, missed = quality[drawn].sum(0).T
    expected = 100 * (iou / (right + extra / 2 + missed / 2)).mean()
    np.testing.assert_allclose(scores.weighted_pq(quality, weights), expected)
    np.testing.assert_allclose(scores.weighted_mean(both[:, 0], weights), both[drawn, 0].mean())


def random_objects(rng, images: int) -> Records:
    """Boxes that are found more or less where they are, some of them crowds."""
    records = Records('detection', ['a', 'b', 'c'])
    for number in range(images):
        n = int(rng.integers(0, 6))
        corners = rng.integers(0, 150, (n, 2))
        true = np.concatenate([corners, corners + rng.integers(10, 60, (n, 2))], 1).astype(float)
        labels, ignored = rng.integers(0, 3, n), rng.random(n) < 0.15
        kept = rng.random(n) < 0.8
        found = np.concatenate(
            [true[kept] + rng.normal(0, 4, (kept.sum(), 4)), true[kept] + rng.normal(0, 9, (kept.sum(), 4))]
        )
        found = np.concatenate([found, np.array([[5.0, 5, 40, 40]])])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        names = np.concatenate([labels[kept], np.where(rng.random(kept.sum()) < 0.3, 0, labels[kept]), [1]])
        record = objects_record(
            boxes=found,
            labels=names,
            scores=rng.random(len(found)),
            true_boxes=true,
            true_labels=labels,
            ignored=ignored,
            areas=np.prod(true[:, 2:] - true[:, :2], 1),
            overlaps=box_overlaps(found, true, ignored),
        )
        records.add(f'{number}.jpg', record)
    return records


def pycocotools_map(records: Records, images: list[int]) -> float:
    truth, found = [], []
    for place, index in enumerate(images):
        image = records.images[index]
        for box, label, crowd in zip(image['true_boxes'], image['true_labels'], image['ignored'], strict=True):
            x, y, right, bottom = box.astype(float).tolist()
            row = {'id': len(truth) + 1, 'image_id': place, 'category_id': int(label), 'iscrowd': int(crowd)}
            truth.append({**row, 'bbox': [x, y, right - x, bottom - y], 'area': (right - x) * (bottom - y)})
        for box, label, score in zip(image['boxes'], image['labels'], image['scores'], strict=True):
            x, y, right, bottom = box.astype(float).tolist()
            row = {'image_id': place, 'category_id': int(label), 'score': float(score)}
            found.append({**row, 'bbox': [x, y, right - x, bottom - y]})
    with redirect_stdout(None):
        coco = COCO()
        rows = [{'id': place} for place in range(len(images))]
        coco.dataset = {'images': rows, 'annotations': truth, 'categories': [{'id': i} for i in range(3)]}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval['precision'][:, :, :, 0, -1]
    return 100 * precision[precision > -1].mean()


def test_map_of_weighted_images_is_that_of_pycocotools_on_repeated_ones():
    rng = np.random.default_rng(5)
    records = random_objects(rng, 40)
    statistic = analyze(records).statistic
    weights = rng.multinomial(40, np.full(40, 1 / 40), 3).astype(float)
    drawn = [np.repeat(np.arange(40), row.astype(int)).tolist() for row in weights]
    expected = [pycocotools_map(records, images) for images in (list(range(40)), *drawn)]
    assert 5 < expected[0] < 90
    np.testing.assert_allclose(statistic(np.concatenate([np.ones((1, 40)), weights])), expected, atol=0.3)
    np.testing.assert_allclose(statistic(np.ones((1, 40))), expected[0], atol=1e-4)
