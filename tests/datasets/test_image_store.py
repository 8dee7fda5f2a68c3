"""Sub-images and LMDB data bases, made by the command and read by the data set."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from denseformer.cli import main
from denseformer.datasets import RestorationImages
from denseformer.datasets.restoration.sub_images import squares, starts


@pytest.fixture
def folder(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / 'HR/more').mkdir(parents=True)
    for name, shape in (('a', (50, 70)), ('more/b', (33, 32))):
        cv2.imwrite(str(tmp_path / 'HR' / f'{name}.png'), rng.integers(255, size=(*shape, 3)).astype(np.uint8))
    return tmp_path / 'HR'


def test_squares_cover_an_image_to_its_borders():
    image = np.arange(50 * 70).reshape(50, 70)
    pieces = list(squares(image, 32, 16))
    assert all(piece.shape == (32, 32) for piece in pieces)
    assert set(np.concatenate([piece.ravel() for piece in pieces])) == set(image.ravel())
    assert starts(20, 32, 16) == [0]


def test_the_command_cuts_a_folder(folder, tmp_path, capsys):
    assert main(['prepare', 'sub-images', str(folder), str(tmp_path / 'sub'), '--size', '32', '--step', '32']) == 0
    assert '2 images, 8 squares' in capsys.readouterr().out
    assert len(list((tmp_path / 'sub').glob('a_s*.png'))) == 6
    first = cv2.imread(str(tmp_path / 'sub/a_s001.png'))
    assert np.array_equal(first, cv2.imread(str(folder / 'a.png'))[:32, :32])
    assert main(['prepare', 'sub-images', str(folder), str(tmp_path / 'sub')]) == 2


def test_a_data_base_gives_the_same_images_as_its_folder(folder, tmp_path):
    pytest.importorskip('lmdb')
    store = tmp_path / 'HR.lmdb'
    assert main(['prepare', 'lmdb', str(folder), str(store)]) == 0
    steps = [{'type': 'denseformer.LoadImagePair'}]
    read = [
        [sample['gt_img'] for sample in RestorationImages(data_prefix={'gt_path': str(path)}, pipeline=steps)]
        for path in (folder, store)
    ]
    assert len(read[0]) == len(read[1]) == 2
    assert all(np.array_equal(a, b) for a, b in zip(*read, strict=True))
    assert main(['prepare', 'lmdb', str(folder), str(store)]) == 2


def test_a_folder_that_is_no_data_base_says_how_to_make_one(tmp_path):
    (tmp_path / 'HR.lmdb').mkdir()
    with pytest.raises(ValueError, match='denseformer prepare lmdb'):
        RestorationImages(data_prefix={'gt_path': str(tmp_path / 'HR.lmdb')})
