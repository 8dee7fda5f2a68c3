"""Segments pasted over another image: what is seen belongs to what is labelled, whatever was drawn."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope

from denseformer.datasets.sample import ensure_sample_set
from denseformer.registry import DATASETS, TRANSFORMS

LOADING = [dict(type='denseformer.LoadImage'), dict(type='denseformer.LoadPanoptic')]
SIZES = dict(train=4, val=1, size=96)
THINGS = 5


def dataset(root, transforms: list[dict], test_mode: bool = False):
    init_default_scope('mmdet')
    return DATASETS.build(
        dict(
            type='denseformer.SamplePanoptic',
            data_root=str(root),
            ann_file='panoptic_training.json',
            data_prefix=dict(img='images/training', seg='panoptic_training'),
            **SIZES,
            pipeline=transforms,
            test_mode=test_mode,
        )
    )


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return ensure_sample_set(tmp_path_factory.mktemp('paste') / 'sample', **SIZES)


@pytest.fixture(scope='module')
def pasted(root) -> list[dict]:
    np.random.seed(1)
    smaller = [*LOADING, dict(type='Resize', scale=(64, 64), keep_ratio=True), dict(type='RandomFlip', prob=0.5)]
    pasting = dict(type='denseformer.PasteSegments', transforms=smaller)
    return [sample for _ in range(3) for sample in dataset(root, [*LOADING, pasting])]


def test_masks_and_label_map_agree_and_nothing_lies_over_another(pasted):
    for sample in pasted:
        masks, labels = sample['gt_masks'].masks, sample['gt_bboxes_labels']
        assert masks.sum(0).max() <= 1
        for mask, label in zip(masks, labels, strict=True):
            assert mask.any()
            assert (sample['gt_seg_map'][mask > 0] == label).all()
        things = np.isin(sample['gt_seg_map'], range(THINGS))
        assert (masks.any(0) == things).all()
        assert len(masks) == len(labels) == len(sample['gt_ignore_flags']) == len(sample['gt_bboxes'])


def test_all_things_are_pasted_and_a_changing_share_of_the_stuff(root, pasted):
    originals = list(dataset(root, LOADING)) * 3
    assert all((new['img'][70:] == old['img'][70:]).all() for new, old in zip(pasted, originals, strict=True))
    stuff, things = [], []
    for new, old in zip(pasted, originals, strict=True):
        changed = new['gt_seg_map'] != old['gt_seg_map']
        stuff.append((changed & (new['gt_seg_map'] >= THINGS)).sum())
        things.append((changed & (new['gt_seg_map'] < THINGS)).sum())
    assert min(things) > 0
    assert min(stuff) == 0 < max(stuff)


def test_a_larger_image_enlarges_the_canvas(root):
    larger = [*LOADING, dict(type='Resize', scale=(128, 128), keep_ratio=True)]
    pasting = dict(type='denseformer.PasteSegments', transforms=larger, fill=7)
    sample = dataset(root, [*LOADING, pasting])[0]
    assert sample['img'].shape == (128, 128, 3)
    assert sample['img_shape'] == sample['gt_seg_map'].shape == (128, 128)
    assert (sample['img'][sample['gt_seg_map'] == 255][-1] == 7).all()


def test_a_refused_image_is_not_pasted(root):
    refusing = dict(type='FilterAnnotations', min_gt_bbox_wh=(1000, 1000))
    pasting = dict(type='denseformer.PasteSegments', transforms=[*LOADING, refusing])
    sample, original = dataset(root, [*LOADING, pasting])[0], dataset(root, LOADING)[0]
    assert (sample['img'] == original['img']).all()


def test_samples_of_other_datasets_are_refused(root):
    with pytest.raises(ValueError, match='while training'):
        TRANSFORMS.build(dict(type='denseformer.PasteSegments', transforms=LOADING))({})
    assert 'dataset' not in dataset(root, LOADING, test_mode=True)[0]
