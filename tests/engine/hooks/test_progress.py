"""The page of a run: which scores share a panel, and what its colors mean."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from denseformer.engine.hooks.progress import describe, panels, panels_of
from denseformer.inspection.outcomes import found_picture, read_legend, write_legend


def test_thresholds_of_a_score_share_its_panel_and_sizes_another():
    scores = ['bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75', 'bbox_mAP_s', 'bbox_mAP_l', 'mIoU', 'val_Dice_star']
    assert panels_of(scores) == {
        'bbox_mAP': ['bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75'],
        'bbox_mAP by size': ['bbox_mAP_s', 'bbox_mAP_l'],
        'mIoU': ['mIoU'],
        'val_Dice_star': ['val_Dice_star'],
    }


def test_a_size_that_no_object_has_is_not_drawn():
    drawn = ''.join(panels({'bbox_mAP_s': {1: -1.0, 2: -1.0}, 'bbox_mAP_m': {1: 0.25, 2: 0.5}}))
    assert 'bbox_mAP_m 0.5' in drawn
    assert 'bbox_mAP_s' not in drawn


def test_the_colors_of_classes_are_named_above_the_pictures(tmp_path):
    folder = tmp_path / 'progress'
    folder.mkdir()
    (folder / '000000_input.jpg').write_bytes(b'')
    write_legend(folder, ['sea', 'land'], [(1, 2, 3), [4, 5, 6]])
    page = ''.join(describe(tmp_path, {}))
    assert 'rgb(1, 2, 3)"></i>sea' in page
    assert 'rgb(4, 5, 6)"></i>land' in page


@pytest.mark.parametrize('palette', [None, [(200, 0, 0), (0, 0, 200)], [(200, 0, 0)], [(200, 0, 0)] * 3])
def test_maps_are_painted_in_the_colors_that_the_legend_names(palette, tmp_path):
    write_legend(tmp_path, ['sea', 'land'], palette)
    black = np.zeros((4, 4, 3), np.uint8)
    for index, (_, color) in enumerate(read_legend(tmp_path)):
        sample = SegDataSample(pred_sem_seg=PixelData(data=torch.full((1, 4, 4), index)))
        painted = found_picture(black, sample, ['sea', 'land'], palette)[1, 1].astype(float)
        np.testing.assert_allclose(painted / painted.max(), np.array(color) / max(color), atol=0.02)
