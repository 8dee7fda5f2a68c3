"""Whatever annotators leave behind passes from file to a training step, or is named."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope

from denseformer.config.loading import load_config

ROOT = Path(__file__).parents[3]
SQUARE = [8.0, 8.0, 40.0, 8.0, 40.0, 40.0, 8.0, 40.0]
OBJECT = {'category_id': 1, 'iscrowd': 0, 'bbox': [8, 8, 32, 32], 'area': 1024, 'segmentation': [SQUARE]}
CROWD = {'segmentation': {'size': [64, 96], 'counts': [100, 400, 64 * 96 - 500]}, 'iscrowd': 1}
KINDS = {
    'sound': [{}],
    'without objects': [],
    'a crowd alone': [CROWD],
    'a crowd and an object': [CROWD, {}],
    'one pixel': [{'bbox': [5, 5, 1, 1], 'area': 1, 'segmentation': [[5.0, 5.0, 6.0, 5.0, 6.0, 6.0, 5.0, 6.0]]}],
    'a polygon without area': [{'segmentation': [[8.0, 8.0, 20.0, 8.0, 40.0, 8.0]]}],
    'a polygon of two points': [{'segmentation': [[8.0, 8.0, 40.0, 40.0]]}],
    'no polygon': [{'segmentation': []}],
    'a box without area': [{'bbox': [8, 8, 0, 32], 'area': 0}],
    'a box outside': [{'bbox': [200, 8, 10, 10], 'segmentation': [[200.0, 8.0, 210.0, 8.0, 210.0, 18.0]]}],
    'a box over the border': [{'bbox': [80, 40, 40, 40], 'segmentation': [[80.0, 40.0, 120.0, 40.0, 120.0, 80.0]]}],
}
"""Annotations of an image, as changes to a sound one."""


@pytest.fixture(scope='module')
def config():
    options = {'backbone.dilations': [[1, 1], [1, 1], [1, 1, 1, 1], [1, 1]], 'image_scale': (96, 64)}
    loaded = load_config(ROOT / 'configs/mask_rcnn_dinat_nano_sample.py', options)
    init_default_scope(loaded.default_scope)
    return loaded


@pytest.fixture(scope='module')
def strong():
    return load_config(ROOT / 'configs/mask_rcnn_dinat_nano_strong_fruits.py')


@pytest.fixture(scope='module')
def model(config):
    torch.manual_seed(0)
    return MODELS.build(config.model).train()


def write(folder: Path, annotations: list[dict], image: np.ndarray) -> None:
    cv2.imwrite(str(folder / 'a.png'), image)
    content = {
        'images': [{'id': 1, 'file_name': 'a.png', 'width': 96, 'height': 64}],
        'categories': [{'id': 1, 'name': 'thing'}],
        'annotations': [{'id': i, 'image_id': 1, **OBJECT, **changes} for i, changes in enumerate(annotations, 1)],
    }
    (folder / 'a.json').write_text(json.dumps(content))


def samples(config, folder: Path, **options) -> list[dict]:
    files = {'data_root': str(folder), 'ann_file': 'a.json', 'data_prefix': {'img': ''}}
    pipeline = config.train_dataloader.dataset.pipeline
    data = {'type': 'denseformer.CocoDataset', 'metainfo': {'classes': ('thing',)}, **files, 'pipeline': pipeline}
    data['serialize_data'] = False  # which collects garbage
    dataset = DATASETS.build({**data, **options})
    return [dataset[i] for i in range(len(dataset))]


def losses(model, batch: list[dict]) -> dict[str, float]:
    data = model.data_preprocessor(pseudo_collate(batch), training=True)
    total, parts = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    return {name: float(value.detach()) for name, value in parts.items()}


def drawn(depth: type = np.uint8, channels: int = 3) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, np.iinfo(depth).max, (64, 96, channels), dtype=depth)
    return noise[..., 0] if channels == 1 else noise


@pytest.mark.parametrize('kind', KINDS)
def test_a_training_step_with(tmp_path, config, model, kind):
    write(tmp_path, KINDS[kind], drawn())
    (sample,) = samples(config, tmp_path)
    found = losses(model, [sample])
    assert np.isfinite(list(found.values())).all()
    assert found['loss'] > 0


def test_what_cannot_be_learned_is_ignored_or_left_out(tmp_path, config):
    counts = {}
    for kind, annotations in KINDS.items():
        write(tmp_path, annotations, drawn())
        labels = samples(config, tmp_path)[0]['data_samples']
        counts[kind] = len(labels.gt_instances), len(labels.ignored_instances)
    assert counts == {
        'sound': (1, 0),
        'without objects': (0, 0),
        'a crowd alone': (0, 1),
        'a crowd and an object': (1, 1),
        'one pixel': (1, 0),
        'a polygon without area': (0, 1),
        'a polygon of two points': (0, 1),
        'no polygon': (0, 1),
        'a box without area': (0, 0),
        'a box outside': (0, 0),
        'a box over the border': (1, 0),
    }


@pytest.mark.parametrize(('depth', 'channels'), [(np.uint8, 1), (np.uint16, 1), (np.uint16, 3), (np.uint8, 4)])
def test_images_of_any_depth_and_number_of_channels(tmp_path, config, model, depth, channels):
    write(tmp_path, [{}], drawn(depth, channels))
    (sample,) = samples(config, tmp_path)
    assert sample['inputs'].shape == (3, 64, 96)
    assert sample['inputs'].dtype == torch.uint8
    assert sample['inputs'].float().std() > 30
    assert np.isfinite(list(losses(model, [sample]).values())).all()


def test_images_with_and_without_objects_in_one_batch(tmp_path, config, model):
    batch = []
    for kind in ('without objects', 'a crowd alone', 'sound'):
        write(tmp_path, KINDS[kind], drawn())
        batch += samples(config, tmp_path)
    assert np.isfinite(list(losses(model, batch).values())).all()


@pytest.mark.parametrize('kind', KINDS)
def test_strong_augmentation_takes(tmp_path, strong, kind):
    write(tmp_path, KINDS[kind], drawn())
    for seed in range(3):
        np.random.seed(seed)
        (sample,) = samples(strong, tmp_path)
        height, width = sample['inputs'].shape[1:]
        for objects in (sample['data_samples'].gt_instances, sample['data_samples'].ignored_instances):
            boxes = objects.bboxes.tensor
            assert len(boxes) == len(objects.labels) == len(objects.masks)
            assert objects.masks.masks.shape[1:] == (height, width)
            assert (boxes[:, :2] >= 0).all()
            assert (boxes[:, 2:] <= torch.tensor([width, height])).all()


def test_an_image_of_another_size_than_its_annotations_is_named(tmp_path, config):
    write(tmp_path, [{}], drawn()[:32])
    with pytest.raises(ValueError, match=r"a\.png' is \(32, 96\) \(H, W\), its annotations are for \(64, 96\)"):
        samples(config, tmp_path)
    write(tmp_path, [{}], drawn().swapaxes(0, 1))
    with pytest.raises(ValueError, match='One is turned'):
        samples(config, tmp_path)


def test_a_mask_of_another_size_than_its_image_is_named(tmp_path, config):
    write(tmp_path, [{'segmentation': {'size': [96, 64], 'counts': [100, 400, 64 * 96 - 500]}}], drawn())
    with pytest.raises(ValueError, match=r"A mask in '.*a\.png' is \[96, 64\], its image \(64, 96\)"):
        samples(config, tmp_path)


def test_boxes_without_masks_are_named_where_masks_are_asked_for(tmp_path, config):
    write(tmp_path, [{}], drawn())
    content = json.loads((tmp_path / 'a.json').read_text())
    del content['annotations'][0]['segmentation']
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"An object in '.*a\.png' has a box and no mask"):
        samples(config, tmp_path)
    boxes_only = [{'type': 'denseformer.LoadImage'}, {'type': 'denseformer.LoadInstances'}, {'type': 'PackDetInputs'}]
    assert len(samples(config, tmp_path, pipeline=boxes_only)[0]['data_samples'].gt_instances) == 1


@pytest.mark.parametrize('key', ['image_id', 'category_id'])
def test_an_annotation_without_a_key_is_named(tmp_path, config, key):
    write(tmp_path, [{}], drawn())
    content = json.loads((tmp_path / 'a.json').read_text())
    del content['annotations'][0][key]
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"a\.json': an image, category or annotation has no '{key}'"):
        samples(config, tmp_path)
