"""A run is refused before it begins where nothing can be learned, and says why."""

import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope

from denseformer.config.loading import ConfigError
from denseformer.datasets import LoadSegmentation
from denseformer.inspection.doctor import examine_split
from denseformer.inspection.learnable import check_learnable

SQUARE = [4.0, 4.0, 20.0, 4.0, 20.0, 20.0, 4.0, 20.0]
LOADING = [{'type': 'denseformer.LoadImage'}, {'type': 'denseformer.LoadInstances', 'with_mask': True}]


def objects(folder, count: int = 2, *, mask: bool = True, **changes):
    """A detection set of one image with objects alike."""
    init_default_scope('mmdet')
    cv2.imwrite(str(folder / 'a.png'), np.zeros((32, 48, 3), np.uint8))
    row = {'image_id': 1, 'category_id': 1, 'bbox': [4, 4, 16, 16], 'area': 256, 'segmentation': [SQUARE], **changes}
    content = {
        'images': [{'id': 1, 'file_name': 'a.png', 'width': 48, 'height': 32}],
        'categories': [{'id': 1, 'name': 'thing'}],
        'annotations': [{'id': i, **row} for i in range(1, count + 1)],
    }
    (folder / 'a.json').write_text(json.dumps(content))
    return {
        'type': 'denseformer.CocoDataset',
        'data_root': str(folder),
        'ann_file': 'a.json',
        'data_prefix': {'img': ''},
        'metainfo': {'classes': ('thing',)},
        'pipeline': [LOADING[0], {**LOADING[1], 'with_mask': mask}],
    }


NOTHING = {
    'no annotations': ({'count': 0}, 'it has no annotations of objects'),
    'crowds': ({'iscrowd': 1}, 'of 2 objects: 2 crowds'),
    'no outlines': ({'segmentation': []}, 'of 2 objects: 2 without an outline'),
    'boxes of no pixel': ({'bbox': [0.1, 0.1, 0.5, 0.5]}, r'2 with a box of less than one pixel \(boxes are left'),
    'boxes outside': ({'bbox': [100, 4, 16, 16]}, '2 with a box outside the image'),
}


@pytest.mark.parametrize('case', NOTHING)
def test_a_training_set_of_which_nothing_is_left_says_why(tmp_path, case):
    changes, words = NOTHING[case]
    config = objects(tmp_path, **changes)
    with pytest.raises(ConfigError, match=rf"a\.json': nothing .*{words}"):
        check_learnable(DATASETS.build(config))
    if case == 'no annotations':
        check_learnable(DATASETS.build({**config, 'test_mode': True}))


def test_a_set_to_score_of_which_all_objects_are_ignored_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r'a\.json.*: nothing to score'):
        check_learnable(DATASETS.build({**objects(tmp_path, iscrowd=1), 'test_mode': True}))
    check_learnable(DATASETS.build({**objects(tmp_path), 'test_mode': True}))


def test_boxes_alone_are_learned_without_outlines_and_whatever_the_area(tmp_path):
    check_learnable(DATASETS.build(objects(tmp_path, mask=False, segmentation=[], area=0)))


def test_a_set_without_objects_may_stand_beside_another(tmp_path):
    for name, count in (('empty', 0), ('full', 1)):
        (tmp_path / name).mkdir()
        objects(tmp_path / name, count)
    both = [objects(tmp_path / name, count) for name, count in (('empty', 0), ('full', 1))]
    check_learnable(DATASETS.build({'type': 'ConcatDataset', 'datasets': both}))


def maps(folder, labels: list[np.ndarray], classes: int = 2, **options):
    """A segmentation set of these label maps."""
    init_default_scope('mmseg')
    for sub in ('images', 'labels'):
        (folder / sub).mkdir(exist_ok=True)
    for i, label in enumerate(labels):
        cv2.imwrite(str(folder / f'images/{i}.png'), np.zeros((*label.shape, 3), np.uint8))
        cv2.imwrite(str(folder / f'labels/{i}.png'), label.astype(np.uint8))
    return DATASETS.build(
        {
            'type': 'BaseSegDataset',
            'data_root': str(folder),
            'data_prefix': {'img_path': 'images', 'seg_map_path': 'labels'},
            'img_suffix': '.png',
            'metainfo': {'classes': [str(i) for i in range(classes)]},
            'pipeline': [LOADING[0], {'type': 'denseformer.LoadSegmentation', 'num_classes': classes}],
            **options,
        }
    )


def test_label_maps_that_are_ignored_everywhere_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"labels': nothing is left to learn: the label maps hold 255 alone"):
        check_learnable(maps(tmp_path, [np.full((8, 8), 255)] * 3))


def test_masks_of_black_and_white_are_recognized(tmp_path):
    mask = np.zeros((8, 8), int)
    mask[2:5] = 255
    with pytest.raises(ConfigError, match=r"labels': the label maps hold 0 and 255 alone, .* Write 1 instead of 255"):
        check_learnable(maps(tmp_path, [mask, 0 * mask, mask]))
    check_learnable(maps(tmp_path, [mask, 0 * mask, mask // 255]))
    check_learnable(maps(tmp_path, [mask, 0 * mask, mask], classes=3))
    check_learnable(maps(tmp_path, [mask, 0 * mask + 1, np.eye(8) + 1], reduce_zero_label=True))


def test_files_of_samples_are_read_before_the_run(tmp_path):
    dataset = maps(tmp_path, [np.eye(8)] * 3)
    (tmp_path / 'labels/2.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r"label map '.*2\.png' .* cannot be decoded"):
        check_learnable(dataset)


def test_one_class_is_refused_with_the_ways_out():
    with pytest.raises(ValueError, match=r'num_classes=1: .*num_classes=2, masks of 0 and 1.*out_channels=1'):
        LoadSegmentation(num_classes=1)


def test_panoptic_maps_of_a_validation_set_are_read_too(tmp_path):
    init_default_scope('mmdet')
    for sub in ('images', 'maps'):
        (tmp_path / sub).mkdir()
    cv2.imwrite(str(tmp_path / 'images/a.png'), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'maps/a.png'), np.full((8, 8), 5, np.uint8))
    segments = [{'id': 5, 'category_id': 1, 'bbox': [0, 0, 8, 8], 'area': 64, 'iscrowd': 0}]
    content = {
        'images': [{'id': 1, 'file_name': 'a.png', 'width': 8, 'height': 8}],
        'annotations': [{'image_id': 1, 'file_name': 'a.png', 'segments_info': segments}],
        'categories': [{'id': 1, 'name': 'ground', 'isthing': 0}],
    }
    (tmp_path / 'a.json').write_text(json.dumps(content))
    config = {
        'type': 'denseformer.CocoPanopticDataset',
        'data_root': str(tmp_path),
        'ann_file': 'a.json',
        'data_prefix': {'img': 'images', 'seg': 'maps'},
        'metainfo': {'classes': ('ground',), 'thing_classes': (), 'stuff_classes': ('ground',)},
        'pipeline': LOADING[:1],
        'test_mode': True,
    }
    with pytest.raises(ValueError, match=r"panoptic map '.*a\.png' is an image of mode L"):
        check_learnable(DATASETS.build(config))
    cv2.imwrite(str(tmp_path / 'maps/a.png'), np.full((8, 8, 3), (0, 0, 5), np.uint8))
    check_learnable(DATASETS.build(config))


def test_a_cube_in_another_unit_or_with_a_band_of_zeros_is_named_before_the_run(tmp_path):
    cube = np.random.default_rng(0).random((8, 8, 5), np.float32)
    np.save(tmp_path / 'a.npy', cube)
    config = {
        'type': 'denseformer.RestorationImages',
        'data_prefix': {'gt_path': str(tmp_path)},
        'suffixes': ('.npy',),
        'pipeline': [{'type': 'denseformer.LoadCube', 'peak': 1.0}],
    }
    check_learnable(DATASETS.build(config))
    other_unit = {**config, 'pipeline': [{'type': 'denseformer.LoadCube', 'peak': 65535}]}
    with pytest.raises(ValueError, match=r"largest value of '.*a\.npy' is 0\.9.*, with peak=65535"):
        check_learnable(DATASETS.build(other_unit))
    cube[..., 3] = 0
    np.save(tmp_path / 'a.npy', cube)
    check_learnable(DATASETS.build(config))  # trained on, it does no harm
    scored = {**config, 'test_mode': True}
    with pytest.raises(ConfigError, match=r"a\.npy': the bands \[3\], counted from 0, are 0 everywhere"):
        check_learnable(DATASETS.build(scored))
    report = examine_split(scored, None)
    assert [(p.kind, p.file) for p in report.problems] == [('file', str(tmp_path / 'a.npy'))]
    assert 'the bands [3]' in report.problems[0].message
