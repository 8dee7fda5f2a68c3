"""Files that broke off are found by their ends, and whole ones are not decoded."""

import numpy as np
import pytest
from PIL import Image

from denseformer.images import completeness

SUFFIXES = ('jpg', 'png', 'gif', 'webp', 'tif', 'bmp', 'ppm')


@pytest.fixture
def photo():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_file_that_broke_off_is_named_and_a_whole_one_is_not(suffix, photo, tmp_path):
    whole, cut = tmp_path / f'whole.{suffix}', tmp_path / f'cut.{suffix}'
    photo.save(whole)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    faults = completeness.faults_of([whole, cut, tmp_path / 'none.png'])
    assert list(faults) == [cut, tmp_path / 'none.png']
    assert 'truncated' in faults[cut]
    assert 'No such file' in faults[tmp_path / 'none.png']


@pytest.mark.parametrize('suffix', ['jpg', 'png'])
def test_a_file_whose_end_was_reserved_and_not_written_is_named(suffix, photo, tmp_path):
    path = tmp_path / f'a.{suffix}'
    photo.save(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1000] + bytes(1000))
    assert f'a.{suffix}' in completeness.faults_of([path])[path]
    path.write_bytes(data + bytes(5000))  # padding behind a whole file
    assert not completeness.faults_of([path])


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif', 'bmp'])
def test_whole_files_are_not_decoded(suffix, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(completeness, 'read_image', None)
    photo.save(tmp_path / f'a.{suffix}')
    assert not completeness.faults_of([tmp_path / f'a.{suffix}'])
