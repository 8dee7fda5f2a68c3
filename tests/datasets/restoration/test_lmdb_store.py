"""Sub-images and LMDB databases, made by the command and read by the dataset."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from denseformer.cli import main
from denseformer.datasets import RestorationImages
from denseformer.datasets.restoration.image_folders import image_files
from denseformer.datasets.restoration.lmdb_store import names_in, write_store
from denseformer.datasets.restoration.sub_images import cut_folder, squares, starts


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


def test_a_database_gives_the_same_images_as_its_folder(folder, tmp_path):
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


def test_a_folder_that_is_no_database_says_how_to_make_one(tmp_path):
    (tmp_path / 'HR.lmdb').mkdir()
    with pytest.raises(ValueError, match='denseformer prepare lmdb'):
        RestorationImages(data_prefix={'gt_path': str(tmp_path / 'HR.lmdb')})


def test_an_attempt_that_broke_off_can_be_repeated(folder, tmp_path):
    pytest.importorskip('lmdb')
    store, files = tmp_path / 'HR.lmdb', image_files(str(folder))
    with pytest.raises(ValueError, match='cannot be read'):
        write_store({**files, 'lost': tmp_path / 'lost.png'}, store)
    assert not store.exists()
    assert (tmp_path / 'HR.lmdb.part').is_dir()
    write_store(files, store)
    assert sorted(names_in(str(store))) == ['a', 'more/b']
    assert not (tmp_path / 'HR.lmdb.part').exists()


def test_a_name_that_is_no_key_is_an_error_of_the_store(folder, tmp_path):
    pytest.importorskip('lmdb')
    with pytest.raises(ValueError, match=r"HR\.lmdb' cannot be written: .*mdb_put"):
        write_store({'x' * 600: folder / 'a.png'}, tmp_path / 'HR.lmdb')


def test_what_is_in_the_way_is_not_deleted(folder, tmp_path):
    pytest.importorskip('lmdb')
    for name in ('HR.lmdb.part', 'sub.part'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'thesis.txt').write_text('mine')
    with pytest.raises(ValueError, match=r"HR\.lmdb\.part' is in the way"):
        write_store(image_files(str(folder)), tmp_path / 'HR.lmdb')
    with pytest.raises(ValueError, match=r"sub\.part' is in the way"):
        cut_folder(image_files(str(folder)), tmp_path / 'sub', size=32, step=32)


def test_cutting_that_broke_off_can_be_repeated(folder, tmp_path):
    files = image_files(str(folder))
    (tmp_path / 'broken.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match='cannot be decoded'):
        cut_folder({**files, 'z': tmp_path / 'broken.png'}, tmp_path / 'sub', size=32, step=32)
    assert not (tmp_path / 'sub').exists()
    assert cut_folder(files, tmp_path / 'sub', size=32, step=32) == 8
    assert len(list((tmp_path / 'sub').rglob('*.png'))) == 8
    assert not (tmp_path / 'sub.part').exists()
