"""Masks of colors: read as the indices of their classes, and found in the folders of UAVid."""

import numpy as np
import pytest
from PIL import Image

from denseformer.datasets.segmentation import LoadSegmentation, UAVidDataset

COLORS = [(128, 0, 0, 0), (0, 0, 0, 1), (64, 0, 128, 2)]


def read(path, mask):
    Image.fromarray(np.array(mask, np.uint8)).save(path)
    info = {'seg_map_path': str(path), 'label_colors': COLORS}
    return LoadSegmentation(num_classes=3).transform(info)['gt_seg_map'].tolist()


def test_colors_are_read_as_classes(tmp_path):
    assert read(tmp_path / 'mask.png', [[(64, 0, 128), (128, 0, 0)], [(0, 0, 0), (0, 0, 0)]]) == [[2, 0], [1, 1]]


def test_colors_of_no_class_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'colors that no class has: \(1, 2, 3\)'):
        read(tmp_path / 'mask.png', [[(64, 0, 128), (1, 2, 3)]])


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
    assert dataset.get_data_info(0)['label_colors'][1] == (128, 64, 128, 1)
