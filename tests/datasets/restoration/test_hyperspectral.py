"""Hyperspectral cubes: three kinds of files, what makes one unusable, and the way to pairs."""

import numpy as np
import pytest
import tifffile
from scipy.io import savemat

from denseformer.datasets import LoadCube, RestorationImages

CUBE = np.random.default_rng(0).integers(1, 1000, size=(9, 14, 5)).astype(np.uint16)


def test_three_kinds_of_files_hold_the_same_cube(tmp_path):
    savemat(tmp_path / 'a.mat', {'cube': CUBE, 'wavelengths': np.arange(5)})
    np.save(tmp_path / 'b.npy', CUBE)
    tifffile.imwrite(tmp_path / 'c.tif', np.moveaxis(CUBE, 2, 0))
    for name in ('a.mat', 'b.npy', 'c.tif'):
        cube = LoadCube(peak=1000, bands_first=name == 'c.tif').read(str(tmp_path / name))
        assert cube.dtype == np.float32
        assert np.allclose(cube * 1000, CUBE, atol=1e-3)


def test_pairs_of_cubes_are_made_by_shrinking(tmp_path):
    np.save(tmp_path / 'a.npy', CUBE)
    steps = [
        {'type': 'denseformer.LoadCube', 'peak': 1000, 'scale': 2},
        {'type': 'denseformer.BicubicDownsample', 'scale': 2},
        {'type': 'denseformer.PackRestoration'},
    ]
    (sample,) = RestorationImages(data_prefix={'gt_path': str(tmp_path)}, suffixes=('.npy',), pipeline=steps)
    assert sample['inputs'].shape == (5, 4, 7)
    assert sample['data_samples'].gt_img.shape == (5, 8, 14)


def test_two_cubes_in_a_file_need_a_name(tmp_path):
    savemat(tmp_path / 'a.mat', {'first': CUBE, 'second': 2 * CUBE})
    with pytest.raises(ValueError, match=r'holds 2 cubes \(first, second\); name one'):
        LoadCube(peak=1000).read(str(tmp_path / 'a.mat'))
    assert np.allclose(LoadCube(peak=1000, variable='first').read(str(tmp_path / 'a.mat')) * 1000, CUBE)


@pytest.mark.parametrize('array', [np.zeros((4, 4)), np.full((4, 4, 2), np.nan)])
def test_what_is_no_cube_is_refused(tmp_path, array):
    np.save(tmp_path / 'a.npy', array)
    with pytest.raises(ValueError, match=r'three axes|not finite'):
        LoadCube(peak=1).read(str(tmp_path / 'a.npy'))


def test_the_number_of_bands_is_held_against_each_file(tmp_path):
    np.save(tmp_path / 'a.npy', CUBE)
    assert LoadCube(peak=1000, bands=5).read(str(tmp_path / 'a.npy')).shape == CUBE.shape
    with pytest.raises(ValueError, match=r"a\.npy' is 9 x 14 x 5, the last of which are its bands, and bands=31"):
        LoadCube(peak=1000, bands=31).read(str(tmp_path / 'a.npy'))


@pytest.mark.parametrize(
    ('values', 'peak', 'fits'),
    [
        (CUBE / 1000, 1, True),
        (CUBE, 4095, True),
        (CUBE * 1.5, 1000, True),
        (CUBE / 1000, 65535, False),
        ((CUBE // 4).astype(np.uint8), 65535, False),
        (CUBE, 1, False),
        (0 * CUBE, 1000, False),
    ],
    ids=['0 .. 1', '12 bits', 'brighter than white', 'other peak', '8 bits', 'no peak', 'black'],
)
def test_values_are_held_against_the_peak(tmp_path, values, peak, fits):
    np.save(tmp_path / 'a.npy', values)
    if fits:
        assert 0 < LoadCube(peak=peak).read(str(tmp_path / 'a.npy')).max() < 2
    else:
        with pytest.raises(ValueError, match=rf"The largest value of '.*a\.npy' is .*, with peak={peak}\. Set peak"):
            LoadCube(peak=peak).read(str(tmp_path / 'a.npy'))
