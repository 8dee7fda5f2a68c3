"""Dice and HD95 of volumes: against all distances between surface voxels, and where masks are empty."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from denseformer.registry import METRICS
from denseformer.segmentation.volume_metric import hausdorff_95, score_masks

CLASSES = ('background', 'spleen', 'liver')
FACES = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]


def surface(mask: np.ndarray) -> list[tuple]:
    voxels = {tuple(place) for place in np.argwhere(mask)}
    return [v for v in voxels if any(tuple(np.add(v, face)) not in voxels for face in FACES)]


def slow_hausdorff_95(first: np.ndarray, second: np.ndarray, spacing) -> float:
    """From every surface voxel to every other, one by one."""
    a, b = surface(first), surface(second)
    ways = [
        [min(np.linalg.norm((np.subtract(v, w)) * spacing) for w in there) for v in here]
        for here, there in ((a, b), (b, a))
    ]
    return float(np.percentile([*ways[0], *ways[1]], 95))  # fmt: skip


def blob(seed: int) -> np.ndarray:
    """A ragged blob (5, 8, 9) that may touch the sides."""
    rng = np.random.default_rng(seed)
    center = rng.uniform(1, 6, 3)
    places = np.stack(np.mgrid[:5, :8, :9], -1)
    return np.linalg.norm(places - center, axis=-1) + rng.uniform(-1, 1, (5, 8, 9)) < 3


@pytest.mark.parametrize('spacing', [(1.0, 1.0, 1.0), (5.0, 0.8, 1.2)])
def test_distances_are_those_between_all_surface_voxels(spacing):
    for seed in range(4):
        first, second = blob(seed), blob(seed + 10)
        assert hausdorff_95(first, second, spacing) == pytest.approx(slow_hausdorff_95(first, second, spacing))
    assert hausdorff_95(first, first, spacing) == 0


def test_empty_masks_score_as_the_papers_have_it():
    full, empty = blob(0), np.zeros((5, 8, 9), bool)
    ones = (1.0, 1.0, 1.0)
    assert score_masks(empty, full, ones, 'transunet') == score_masks(empty, full, ones, 'strict') == (0.0, 0.0)
    assert score_masks(full, empty, ones, 'transunet') == (1.0, 0.0)
    assert score_masks(empty, empty, ones, 'transunet') == (0.0, 0.0)
    assert score_masks(full, empty, ones, 'strict') == (0.0, 0.0)
    assert score_masks(empty, empty, ones, 'strict') == (1.0, 0.0)


def sample(path: str, found: np.ndarray, true: np.ndarray, **meta) -> dict:
    found, true = (PixelData(data=torch.from_numpy(labels.astype(np.int64))[None]) for labels in (found, true))
    return {'img_path': path, 'pred_sem_seg': found.to_dict(), 'gt_sem_seg': true.to_dict(), **meta}


def evaluate(samples: list[dict], **options) -> tuple[dict, object]:
    metric = METRICS.build(dict(type='denseformer.VolumeMetric', **options))
    metric.dataset_meta = {'classes': CLASSES}
    metric.process({}, samples)
    return metric.evaluate(len(samples)), metric


def test_slices_become_cases_and_cases_become_means():
    true = [blob(i) + 2 * (blob(i + 5) & ~blob(i)) for i in range(2)]
    found = [true[0], np.roll(true[1], 1, 2)]
    rows = [(case, z) for case in range(2) for z in range(5)]
    by_name = [sample(f'val/case{c}_slice{z:03d}.jpg', found[c][z], true[c][z]) for c, z in reversed(rows)]
    by_number = [sample(f'val/{c}.nii.gz', found[c][z], true[c][z], slice=z, spacing=(3.0, 1.0, 1.0)) for c, z in rows]
    expected = np.array(
        [[score_masks(found[c] == k, true[c] == k, (1, 1, 1), 'strict') for k in (1, 2)] for c in (0, 1)]
    )
    for samples in (by_name, by_number):
        scores, metric = evaluate(samples)
        assert scores['Dice'] == pytest.approx(100 * expected[..., 0].mean(), abs=0.006)
        assert scores['HD95'] == pytest.approx(expected[..., 1].mean(), abs=6e-4)
        assert metric.per_class['spleen']['Dice'] == pytest.approx(100 * expected[:, 0, 0].mean(), abs=0.006)
        assert sorted(row['Dice'] for row in metric.per_case.values())[1] == 100
    assert evaluate(by_number, millimeters=True)[0]['HD95'] >= scores['HD95']


def test_images_that_are_no_slices_and_unknown_spacings_are_refused():
    labels = np.zeros((4, 4), int)
    with pytest.raises(ValueError, match='is no slice by its name'):
        evaluate([sample('val/cat.jpg', labels, labels)])
    with pytest.raises(ValueError, match='spacing'):
        evaluate([sample('a_slice1.jpg', labels, labels)], millimeters=True)
    with pytest.raises(ValueError, match='no convention'):
        evaluate([], empty='nan')


def test_cases_of_one_name_in_two_folders_are_two():
    labels = np.zeros((3, 4), int)
    labels[1, 1:3] = 1
    samples = [sample(f'{folder}/a_slice{z}.png', labels, labels) for folder in ('x', 'y') for z in range(2)]
    _, metric = evaluate(samples)
    assert sorted(metric.per_case) == ['x/a', 'y/a']
    with pytest.raises(ValueError, match=r"Slice 1 of 'x/a' comes twice"):
        evaluate([*samples, samples[1]])
    with pytest.raises(ValueError, match=r"slices of 'y/a' have different sizes, \(3, 3\) and \(3, 4\)"):
        evaluate([*samples, sample('y/a_slice2.png', labels[:, :3], labels[:, :3])])


def test_ignored_voxels_count_for_no_class():
    found, true = np.ones((4, 4), int), np.full((4, 4), 255)
    true[:2, :2] = 1
    _, metric = evaluate([sample('a_slice0.png', found, true)])
    assert metric.per_class['spleen'] == {'Dice': 100.0, 'HD95': 0.0}
