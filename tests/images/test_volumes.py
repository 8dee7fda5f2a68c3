"""NIfTI files: axes, windows, places in the scanner, and what is refused."""

import nibabel
import numpy as np
import pytest

from denseformer.images.volumes import (
    as_gray,
    is_volume,
    open_volume,
    read_volume,
    spacing_of,
    volume_stem,
    write_labels,
)


def write(path, values: np.ndarray, zooms=(0.8, 0.9, 5.0)):
    affine = np.diag([*zooms[:3], 1.0])
    affine[:3, 3] = 7
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / 'scan.nii.gz', np.arange(24, dtype=np.int16).reshape(4, 3, 2) - 5)


def test_the_third_axis_numbers_the_slices_and_the_first_their_columns(path):
    volume = read_volume(path)
    assert volume.values.shape == (2, 3, 4)
    assert volume.values[1, 2, 3] == 23 - 5
    assert volume.range == (-5, 18)
    assert spacing_of(volume.image) == pytest.approx((5.0, 0.9, 0.8))


def test_values_beyond_the_window_are_clipped():
    assert as_gray(np.array([-200, -100, 0, 100, 300]), (-100, 100)).tolist() == [0, 0, 128, 255, 255]
    assert as_gray(np.array([3, 3]), (3, 3)).tolist() == [0, 0]


def test_labels_lie_where_the_volume_does(path, tmp_path):
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[1, 2, 3] = 7
    write_labels(tmp_path / 'unfinished.gz', labels, read_volume(path))
    (tmp_path / 'unfinished.gz').rename(tmp_path / 'mask.nii.gz')
    mask, scan = open_volume(tmp_path / 'mask.nii.gz'), open_volume(path)
    assert np.asarray(mask.dataobj)[3, 2, 1] == 7
    assert np.asarray(mask.dataobj).sum() == 7
    assert np.array_equal(mask.affine, scan.affine)
    assert mask.header.get_zooms() == scan.header.get_zooms()
    assert mask.get_data_dtype() == np.uint8


def test_names():
    assert is_volume('a/SCAN.NII.GZ')
    assert is_volume('a.nii')
    assert not is_volume('a.gz')
    assert (volume_stem('a.b.nii.gz'), volume_stem('a.nii')) == ('a.b', 'a')


def test_what_is_no_volume_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'cannot be read'):
        open_volume(tmp_path / 'missing.nii.gz')
    (tmp_path / 'text.nii').write_text('no volume')
    with pytest.raises(ValueError, match=r'cannot be read'):
        open_volume(tmp_path / 'text.nii')
    with pytest.raises(ValueError, match='has 4 axes'):
        open_volume(write(tmp_path / 'film.nii.gz', np.zeros((2, 2, 2, 3), np.int16), (1, 1, 1, 1)))
    whole = write(tmp_path / 'half.nii.gz', np.random.default_rng(0).integers(0, 900, (40, 40, 40), np.int16))
    whole.write_bytes(whole.read_bytes()[:30_000])
    with pytest.raises(ValueError, match='to its end'):
        read_volume(whole)
    with pytest.raises(ValueError, match=r'complex\.nii\.gz. holds complex64 values'):
        read_volume(write(tmp_path / 'complex.nii.gz', np.zeros((2, 2, 2), np.complex64)))
    with pytest.raises(ValueError, match=r'nothing\.nii\.gz., \(2, 2, 2\), has no finite value'):
        read_volume(write(tmp_path / 'nothing.nii.gz', np.full((2, 2, 2), np.nan, np.float32)))


def test_what_is_no_number_is_black_and_leaves_the_range_alone(tmp_path):
    values = np.array([[[np.nan, np.inf, -np.inf, 10, 30]]], np.float32)
    volume = read_volume(write(tmp_path / 'masked.nii.gz', values))
    assert volume.range == (10, 30)
    assert volume.gray(None).ravel().tolist() == [0, 255, 0, 0, 255]
