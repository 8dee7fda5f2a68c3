"""Masks of colors: read as the indices of their classes, and found in the folders of UAVid."""

import numpy as np
import pytest
from PIL import Image

from denseformer.datasets.segmentation import LoadSegmentation, UAVidDataset

COLORS = ((128, 0, 0), (0, 0, 0), (64, 0, 128))


def test_colors_are_read_as_classes_and_others_do_not_count(tmp_path):
    mask = np.array([[COLORS[2], COLORS[0]], [COLORS[1], (1, 2, 3)]], np.uint8)
    Image.fromarray(mask).save(tmp_path / 'mask.png')
    load = LoadSegmentation(num_classes=3, colors=COLORS)
    found = load.transform({'seg_map_path': str(tmp_path / 'mask.png')})['gt_seg_map']
    assert found.tolist() == [[2, 0], [1, 255]]


def test_maps_of_indices_and_colors_of_other_classes_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / 'mask.png')
    with pytest.raises(ValueError, match='color mask'):
        LoadSegmentation(num_classes=3, colors=COLORS).transform({'seg_map_path': str(tmp_path / 'mask.png')})
    with pytest.raises(ValueError, match='3 colors for num_classes=4'):
        LoadSegmentation(num_classes=4, colors=COLORS)


def test_uavid_finds_frames_and_masks_of_all_sequences(tmp_path):
    for sequence in ('seq1', 'seq17'):
        for folder in ('Images', 'Labels'):
            (tmp_path / 'uavid_train' / sequence / folder).mkdir(parents=True)
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(
                tmp_path / 'uavid_train' / sequence / folder / '000100.png'
            )
    dataset = UAVidDataset(
        data_root=str(tmp_path), data_prefix=dict(img_path='uavid_train', seg_map_path='uavid_train'), pipeline=[]
    )
    pairs = [(each['img_path'], each['seg_map_path']) for each in map(dataset.get_data_info, range(len(dataset)))]
    assert len(pairs) == 2
    assert all(mask == image.replace('Images', 'Labels') for image, mask in pairs)
