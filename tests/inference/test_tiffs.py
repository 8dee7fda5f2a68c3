"""Windows of TIFF files are what the whole file holds; bands make up a file; georeferences follow the pixels."""

import numpy as np
import pytest
import tifffile

from denseformer.inference.tiffs import Layout, WindowedTiff, write_bands

UTM = [
    (33550, 12, 3, (10.0, 10.0, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 500_000.0, 4_000_000.0, 0.0), True),
    (34735, 3, 8, (1, 1, 0, 1, 3072, 0, 1, 32633), True),
]


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 65_535, (333, 517, 3), np.uint16)


STORAGE = {
    'one strip': {},
    'strips': {'rowsperstrip': 10},
    'tiles': {'tile': (64, 48)},
    'compressed': {'compression': 'zlib'},
    'tiles, predicted': {'tile': (64, 32), 'compression': 'zlib', 'predictor': True},
}


@pytest.mark.parametrize('storage', STORAGE)
def test_windows_are_parts_of_the_image(pixels, storage, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='rgb', **STORAGE[storage])
    file = WindowedTiff(tmp_path / 'a.tif')
    for rows, columns in [
        (slice(0, 333), slice(0, 517)),
        (slice(100, 200), slice(33, 400)),
        (slice(332, 333), slice(516, 517)),
    ]:
        assert np.array_equal(file.read(rows, columns), pixels[rows, columns])
    file.close()


@pytest.mark.parametrize('heights', [(333,), (100, 1, 232), (300, 33)])
def test_bands_make_up_a_file(pixels, heights, tmp_path):
    bands = np.split(pixels, np.cumsum(heights)[:-1])
    write_bands(tmp_path / 'a.tif', Layout((333, 517), 3, np.dtype(np.uint16), UTM), iter(bands))
    assert np.array_equal(tifffile.imread(tmp_path / 'a.tif'), pixels)


def test_a_georeference_follows_the_scale(pixels, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='rgb', extratags=UTM)
    (scale, tie, keys) = WindowedTiff(tmp_path / 'a.tif').geography(scale=2)
    assert scale[3] == (5.0, 5.0, 0.0)
    assert tie[3] == UTM[1][3]
    assert keys[3] == UTM[2][3]


@pytest.mark.parametrize('content', [b'', b'no image', b'II*\0\x08\0\0\0'])
def test_a_file_that_is_none_is_an_error(content, tmp_path):
    (tmp_path / 'a.tif').write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.tif'):
        WindowedTiff(tmp_path / 'a.tif')


def test_pixels_without_a_range_are_an_error(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', np.zeros((9, 9), np.float32))
    with pytest.raises(ValueError, match='float32'):
        WindowedTiff(tmp_path / 'a.tif')
