"""Tiles of TIFF files are what the whole file holds; bands make up a file; georeferences follow the pixels."""

import numpy as np
import pytest
import tifffile
from predicting import UTM

from denseformer.images.metadata import Metadata
from denseformer.images.rasterio_tiff import open_tiff
from denseformer.images.tiffs import Layout, RasterioNeededError, TiffReader, write_bands


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
def test_regions_are_parts_of_the_image(pixels, storage, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='rgb', **STORAGE[storage])
    file = TiffReader(tmp_path / 'a.tif')
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
    write_bands(tmp_path / 'a.tif', Layout((333, 517), 3, np.dtype(np.uint16), Metadata(geo_tags=UTM)), iter(bands))
    assert np.array_equal(tifffile.imread(tmp_path / 'a.tif'), pixels)


def test_a_georeference_follows_the_scale(pixels, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='rgb', extratags=UTM)
    (scale, tie, keys) = TiffReader(tmp_path / 'a.tif').geo_tags(scale=2)
    assert scale[3] == (5.0, 5.0, 0.0)
    assert tie[3] == UTM[1][3]
    assert keys[3] == UTM[2][3]


@pytest.mark.parametrize('content', [b'', b'no image', b'II*\0\x08\0\0\0'])
def test_a_file_that_is_none_is_an_error(content, tmp_path):
    (tmp_path / 'a.tif').write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.tif'):
        TiffReader(tmp_path / 'a.tif')


@pytest.mark.parametrize(('dtype', 'fault'), [(np.float64, 'float64'), (np.int16, 'int16'), (np.float32, 'scale them')])
def test_pixels_without_a_range_are_an_error(dtype, fault, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', np.full((9, 9), 1000, dtype))
    with pytest.raises(ValueError, match=fault):
        TiffReader(tmp_path / 'a.tif').read(slice(0, 9), slice(0, 9))


def test_regions_of_fractions_are_parts_of_the_image(tmp_path):
    fractions = np.random.default_rng(0).random((70, 90, 3), np.float32)
    tifffile.imwrite(tmp_path / 'a.tif', fractions, photometric='rgb', tile=(32, 32))
    file = TiffReader(tmp_path / 'a.tif')
    assert np.array_equal(file.read(slice(5, 60), slice(30, 90)), fractions[5:60, 30:])
    file.close()


def test_what_a_georeference_means_is_what_rasterio_reads(pixels, tmp_path):
    rasterio = pytest.importorskip('rasterio')
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='rgb', extratags=UTM)
    geo_tags = TiffReader(tmp_path / 'a.tif').geo_tags(scale=2)
    layout = Layout((666, 1034), 3, np.dtype(np.uint16), Metadata(geo_tags=geo_tags))
    write_bands(tmp_path / 'b.tif', layout, iter([pixels.repeat(2, 0).repeat(2, 1)]))
    with rasterio.open(tmp_path / 'a.tif') as before, rasterio.open(tmp_path / 'b.tif') as after:
        assert after.crs == before.crs
        assert after.crs.to_epsg() == 32633
        assert after.bounds == before.bounds


RASTERIO = {'LZW': {'compress': 'lzw', 'predictor': 2}, 'channels apart': {'interleave': 'band', 'tiled': True}}


@pytest.mark.parametrize('storage', RASTERIO)
def test_rasterio_decodes_what_tifffile_does_not(pixels, storage, tmp_path):
    rasterio = pytest.importorskip('rasterio')
    place = rasterio.transform.from_origin(500_000, 4_000_000, 10, 10)
    options = {'width': 517, 'height': 333, 'count': 3, 'dtype': 'uint16', 'crs': 'EPSG:32633', 'transform': place}
    storing = {'photometric': 'RGB', 'blockxsize': 64, 'blockysize': 64, **RASTERIO[storage]}
    with rasterio.open(tmp_path / 'a.tif', 'w', driver='GTiff', **options, **storing) as file:
        file.write(pixels.transpose(2, 0, 1))
    file = open_tiff(tmp_path / 'a.tif')
    assert np.array_equal(file.read(slice(100, 200), slice(33, 400)), pixels[100:200, 33:400])
    assert file.geo_tags()[0][3] == (10.0, 10.0, 0.0)
    file.close()


def test_without_rasterio_the_error_names_it(pixels, tmp_path, monkeypatch):
    monkeypatch.setattr('denseformer.images.rasterio_tiff.find_spec', lambda name: None)
    tifffile.imwrite(tmp_path / 'a.tif', pixels.transpose(2, 0, 1), photometric='rgb', planarconfig='separate')
    with pytest.raises(RasterioNeededError, match=r'denseformer\[geo\]'):
        open_tiff(tmp_path / 'a.tif')
