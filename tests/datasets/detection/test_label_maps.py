"""Label maps of whole images beside the masks of their objects."""

import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope

from denseformer.config.loading import load_config

SQUARE = [8.0, 8.0, 40.0, 8.0, 40.0, 40.0, 8.0, 40.0]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'train2017').mkdir()
    (tmp_path / 'stuffthingmaps/train2017').mkdir(parents=True)
    (tmp_path / 'annotations').mkdir()
    cv2.imwrite(str(tmp_path / 'train2017/a.jpg'), np.zeros((64, 96, 3), np.uint8))
    labels = np.full((64, 96), 182, np.uint8)
    labels[:, :48] = 255
    cv2.imwrite(str(tmp_path / 'stuffthingmaps/train2017/a.png'), labels)
    content = {
        'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 96, 'height': 64}],
        'categories': [{'id': 1, 'name': 'person'}],
        'annotations': [
            {'id': 1, 'image_id': 1, 'category_id': 1, 'iscrowd': 0, 'bbox': [8, 8, 32, 32], 'area': 1024}
            | {'segmentation': [SQUARE]}
        ],
    }
    (tmp_path / 'annotations/instances_train2017.json').write_text(json.dumps(content))
    return tmp_path


def test_label_maps_are_resized_and_flipped_with_the_image(folder):
    config = load_config('htc_vit_adapter_large_coco', {'data_root': str(folder)})
    init_default_scope(config.default_scope)
    dataset = config.train_dataloader.dataset
    dataset.metainfo = dict(classes=('person',))
    sample = DATASETS.build(dataset)[0]
    labels = sample['data_samples'].gt_sem_seg.sem_seg
    assert labels.shape[1:] == sample['inputs'].shape[1:]
    half = labels.shape[2] // 2 - 1
    sides = {tuple(labels[0, :, :half].unique().tolist()), tuple(labels[0, :, -half:].unique().tolist())}
    assert sides == {(182,), (255,)}
    assert len(sample['data_samples'].gt_instances.masks) == 1
