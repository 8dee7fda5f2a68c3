"""Files that broke off are found by their ends, and whole ones are not decoded."""

from io import BytesIO

import numpy as np
import pytest
import tifffile
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


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'gif', 'tif'])
def test_a_file_whose_end_was_reserved_and_not_written_is_named(suffix, photo, tmp_path):
    path = tmp_path / f'a.{suffix}'
    if suffix == 'tif':
        tifffile.imwrite(path, np.asarray(photo), photometric='rgb', compression='zlib')  # its pixels come last
    else:
        photo.save(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1000] + bytes(1000))
    assert f'a.{suffix}' in completeness.faults_of([path])[path]
    path.write_bytes(data + bytes(5000))  # padding behind a whole file
    assert not completeness.faults_of([path])


def test_the_end_of_a_thumbnail_is_not_that_of_its_jpeg(photo, tmp_path):
    small, path = BytesIO(), tmp_path / 'a.jpg'
    photo.resize((48, 32)).save(small, 'jpeg')
    photo.save(path, exif=b'Exif\0\0' + small.getvalue())
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    assert list(completeness.faults_of([path])) == [path]
    path.write_bytes(data + b'TRAILER OF A CAMERA' + bytes(5000))
    assert not completeness.faults_of([path])


@pytest.mark.parametrize('kept', [0.3, 0.52, 0.75, 0.99])
@pytest.mark.parametrize('compression', [None, 'tiff_adobe_deflate'])
def test_a_tiff_file_that_broke_off_in_its_second_page_is_named(compression, kept, photo, tmp_path):
    whole, cut = tmp_path / 'whole.tif', tmp_path / 'cut.tif'
    photo.save(whole, save_all=True, append_images=[photo], compression=compression)
    data = whole.read_bytes()
    cut.write_bytes(data[: int(kept * len(data))])
    assert list(completeness.faults_of([whole, cut])) == [cut]


@pytest.mark.parametrize('length', range(1, 9))
def test_a_tiff_file_without_a_page_is_named(length, tmp_path):
    path = tmp_path / 'a.tif'
    path.write_bytes((b'II*\0' + bytes(4))[:length])
    assert 'a.tif' in completeness.faults_of([path])[path]


@pytest.mark.parametrize('suffix', ['webp', 'png'])
def test_an_animation_is_named(suffix, photo, tmp_path):
    path = tmp_path / f'a.{suffix}'
    photo.save(path, save_all=True, append_images=[photo.rotate(180)])
    assert 'animated' in completeness.faults_of([path])[path]


def test_a_sound_by_the_name_of_an_image_is_named(tmp_path):
    path = tmp_path / 'a.webp'
    path.write_bytes(b'RIFF' + (100).to_bytes(4, 'little') + b'WAVE' + bytes(96))
    assert 'a.webp' in completeness.faults_of([path])[path]


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif', 'bmp'])
def test_whole_files_are_not_decoded(suffix, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(completeness, 'read_image', None)
    photo.save(tmp_path / f'a.{suffix}')
    assert not completeness.faults_of([tmp_path / f'a.{suffix}'])
