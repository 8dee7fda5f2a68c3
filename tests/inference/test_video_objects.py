"""Objects that move, found in a folder of frames."""

import numpy as np
import pytest
from PIL import Image

from denseformer.engine import load_config
from denseformer.inference import Predictor, predict_folder
from denseformer.inference.sources import find_items


@pytest.fixture(scope='module')
def predictor():
    small = dict(widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), heads=(1, 1, 8, 8))
    settings = {'backbone.arch': small, 'backbone.pretrained': None, 'crop_size': (64, 64), 'head_channels': 16}
    return Predictor(load_config('configs/isomer_mit_b0_davis.py', settings), device='cpu')


def test_masks_of_frames_depend_on_what_follows_them(predictor, tmp_path):
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 255, (16, 24, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    frames = tmp_path / 'bear'
    frames.mkdir()
    for number in range(3):
        Image.fromarray(texture[:48, 4 * number : 4 * number + 60]).save(frames / f'{number}.png')
    results = list(predictor(frames))
    assert [result.mask.shape for result in results] == [(48, 60)] * 3
    predict_folder(predictor, frames, tmp_path / 'out')
    assert len(list((tmp_path / 'out').rglob('[012].png'))) == 3
    first = predictor.task.prepare(next(find_items(frames))).inputs
    Image.fromarray(texture[10:58, 30:90]).save(frames / '1.png')
    second = predictor.task.prepare(next(find_items(frames))).inputs
    assert (first[:3] == second[:3]).all()
    assert (first[3:] != second[3:]).any()


def test_images_without_a_folder_of_frames_are_refused(predictor):
    with pytest.raises(ValueError, match='write the frames of a video into a folder'):
        list(predictor(np.zeros((48, 60, 3), np.uint8)))
    with pytest.raises(ValueError, match='not exported'):
        predictor.task.exportable()
