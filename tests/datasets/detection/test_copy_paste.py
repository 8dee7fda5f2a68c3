"""Objects of other images are pasted with their masks, boxes and labels, and by the run's random numbers."""

import numpy as np
import pytest
from mmengine.registry.utils import init_default_scope

from denseformer.config.loading import load_config
from denseformer.datasets.building import build_dataset
from denseformer.datasets.detection.copy_paste import CopyPaste, fitted
from denseformer.folders import understand, write_dataset
from denseformer.seeding import seeded
from tests.support import formats


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pasting')
    found, listing = understand(str(formats.labelme(folder / 'data')))
    write_dataset(found, listing, folder / 'dataset')
    augmentation = [[dict(type='RandomResize', scale=(64, 48), ratio_range=(0.7, 1.3), keep_ratio=True)]]
    (folder / 'dataset/config.py').write_text(f"_base_ = './data.py'\naugmentation = {augmentation}\n")
    return folder / 'dataset/config.py'


def dataset(config, **keys):
    init_default_scope('mmdet')
    made = load_config(config, keys)
    return build_dataset(made.train_dataloader.dataset)


def drawn(samples, seed: int):
    with seeded(seed):
        return samples[0]


def test_pasted_objects_bring_masks_boxes_and_labels(config):
    plain, pasting = dataset(config), dataset(config, copy_paste=1.0)
    more = 0
    for seed in range(12):
        before, after = (drawn(samples, seed)['data_samples'].gt_instances for samples in (plain, pasting))
        more += len(after) > len(before)
        assert after.masks.masks.shape[1:] == before.masks.masks.shape[1:]  # of the same size by the same draw
        assert (after.masks.masks.sum(0) <= 1).all() or (before.masks.masks.sum(0) > 1).any()
        bounds = after.masks.get_bboxes(type(after.bboxes)).tensor
        assert (after.bboxes.tensor - bounds).abs().max() <= 2
        assert len(after.labels) == len(after.masks) == len(after.bboxes)
    assert more >= 4


def test_what_is_pasted_are_the_pixels_of_the_other_images_objects(config):
    samples = dataset(config, copy_paste=1.0)
    step = next(step for step in samples.pipeline.transforms if isinstance(step, CopyPaste))
    pixels = 0
    for seed in range(6):
        with seeded(seed):
            results = before(samples, step)
        results['img'] = np.zeros_like(results['img'])
        size = results['img'].shape[:2]
        with seeded(seed):
            after = step(results)
        with seeded(seed):
            np.random.rand()  # whether anything is pasted
            other = fitted(step.other_image(), size)
        shown = after['img'].any(2)
        assert (after['img'][shown] == other['img'][shown]).all()
        assert not (shown & ~other['gt_masks'].masks.any(0)).any()
        assert after['img'].dtype == np.uint8
        pixels += shown.sum()
    assert pixels > 100


def before(samples, step):
    """The first image after the steps of the pipeline before `step`."""
    results = samples.get_data_info(0)
    for each in samples.pipeline.transforms:
        if each is step:
            break
        results = each(results)
    return results


def test_the_same_seed_pastes_the_same_and_a_share_of_none_draws_nothing(config):
    samples = dataset(config, copy_paste=1.0)
    first, second = (drawn(samples, 3) for _ in range(2))
    assert (first['inputs'] == second['inputs']).all()
    state = np.random.get_state()[1].copy()
    CopyPaste(prob=0.0)({'img': np.zeros((4, 4, 3), np.uint8)})
    assert (np.random.get_state()[1] == state).all()


def test_data_without_masks_is_refused(config):
    samples = dataset(config, copy_paste=1.0, with_mask=False)
    with pytest.raises(ValueError, match='needs masks'):
        drawn(samples, 0)
    with pytest.raises(ValueError, match='from 0 to 1'):
        CopyPaste(prob=1.5)
