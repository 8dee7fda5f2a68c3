"""The contact sheet shows samples after augmentation, the same ones each time."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from denseformer.cli import main
from denseformer.inspection.browse import arrange, picture

SAMPLE = 'configs/upernet_dinat_nano_sample.py'
SMALL = [f'{split}_dataloader.dataset.{part}=3' for split in ('train', 'val') for part in ('train', 'val')]


def test_the_command_draws_the_same_sheet_for_the_same_seed(tmp_path):
    def sheet(name: str, seed: int) -> np.ndarray:
        arguments = ['browse', SAMPLE, '--out', str(tmp_path / name), '--count', '4', '--seed', str(seed)]
        assert main([*arguments, '--cfg-options', f'data_root={tmp_path}/sample', *SMALL]) == 0
        return cv2.imread(str(tmp_path / name))

    first, again, other = sheet('a.png', 0), sheet('b.png', 0), sheet('c.png', 1)
    assert first.shape[0] >= 2 * 128
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_a_split_without_anything_to_learn_is_refused_as_in_training(tmp_path, capsys):
    labels = tmp_path / 'sample'
    command = ['browse', SAMPLE, '--out', str(tmp_path / 'a.png'), '--cfg-options', f'data_root={labels}', *SMALL]
    assert main(command) == 0
    for file in labels.rglob('*.png'):
        map_ = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if map_.ndim == 2:
            cv2.imwrite(str(file), np.full_like(map_, 255))
    assert main(command) == 2
    assert 'nothing is left to learn: the label maps hold 255 alone' in capsys.readouterr().err


def test_labels_are_painted_and_ignored_pixels_are_not():
    labels = torch.tensor([[[0, 255], [1, 1]]])
    sample = {
        'inputs': torch.full((3, 2, 2), 100, dtype=torch.uint8),
        'data_samples': BaseDataElement(gt_sem_seg=PixelData(data=labels)),
    }
    drawn = picture(sample, [(200, 0, 0), (0, 200, 0)], turn=True)
    assert drawn.tolist() == [[[150, 50, 50], [100, 100, 100]], [[50, 150, 50], [50, 150, 50]]]


def test_channels_are_turned_boxes_drawn_and_targets_set_beside():
    blue_first = torch.zeros(3, 16, 16, dtype=torch.uint8)
    blue_first[0] = 255
    instances = InstanceData(bboxes=torch.tensor([[2.0, 2.0, 9.0, 9.0]]))
    drawn = picture({'inputs': blue_first, 'data_samples': BaseDataElement(gt_instances=instances)}, None, turn=True)
    assert drawn[15, 15].tolist() == [0, 0, 255]
    assert drawn[2, 5].tolist() == [255, 64, 0]
    pair = BaseDataElement(gt_img=torch.ones(3, 8, 8))
    beside = picture({'inputs': torch.zeros(3, 4, 4), 'data_samples': pair}, None, turn=False)
    assert beside.shape == (8, 20, 3)
    assert beside[0, 0].tolist() == [0, 0, 0]
    assert beside[0, -1].tolist() == [255, 255, 255]


@pytest.mark.parametrize('count', [1, 2, 5])
def test_pictures_of_any_size_find_their_place(count):
    pictures = [np.full((10 + 40 * i, 500, 3), 10 * i, np.uint8) for i in range(count)]
    sheet = arrange(pictures)
    assert all((sheet == 10 * i).all(axis=2).any() for i in range(count))


def test_a_file_that_is_no_image_is_named(tmp_path, capsys):
    config = 'configs/cfsr_small_x2_photographs.py'
    assert main(['browse', config, '--out', str(tmp_path / 'x.nothing'), '--count', '1']) == 2
    assert 'could not be written' in capsys.readouterr().err
