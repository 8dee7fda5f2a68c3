"""A NIfTI volume is predicted slice by slice and becomes a volume of labels, or a failure where it is broken."""

import nibabel
import numpy as np
import pytest
from mmengine.config import Config
from predicting import CONFIG, record

from denseformer.config.loading import load_config
from denseformer.inference import Predictor, predict_folder


@pytest.fixture
def scans(tmp_path):
    values = np.random.default_rng(0).integers(-500, 900, (47, 33, 3), np.int16)
    (tmp_path / 'in').mkdir()
    nibabel.save(nibabel.Nifti1Image(values, np.diag([0.7, 0.7, 5.0, 1.0])), tmp_path / 'in/scan.nii.gz')
    return tmp_path / 'in'


@pytest.fixture(scope='module')
def windowed(checkpoint):
    config: Config = load_config(CONFIG)
    config.window = (-100, 400)
    return Predictor(config, checkpoint, device='cpu')


def test_a_volume_becomes_a_mask_at_its_place(windowed, scans, tmp_path):
    (scans / 'broken.nii').write_text('no volume')
    summary = predict_folder(windowed, scans, tmp_path / 'out')
    assert (summary['predicted'], summary['failed']) == (1, 1)
    mask, scan = nibabel.load(tmp_path / 'out/masks/scan.nii.gz'), nibabel.load(scans / 'scan.nii.gz')
    assert mask.shape == scan.shape
    assert np.array_equal(mask.affine, scan.affine)
    assert 'cannot be read' in record(tmp_path / 'out')['broken.nii']['error']
    entry = record(tmp_path / 'out')['scan.nii.gz']
    assert (entry['height'], entry['width'], entry['slices'], entry['mask']) == (33, 47, 3, 'masks/scan.nii.gz')

    slices = list(windowed(scans / 'scan.nii.gz'))
    assert [str(each.name) for each in slices] == ['scan/000001.png', 'scan/000002.png', 'scan/000003.png']
    assert np.array_equal(np.stack([each.mask.T for each in slices], -1), np.asarray(mask.dataobj))
    values = np.clip(np.asarray(scan.dataobj)[..., 0].T.astype(float), -100, 400)
    assert np.abs(slices[0].image[..., 0] - (values + 100) * 255 / 500).max() <= 0.5


def test_only_segmentors_predict_on_volumes(weights, scans, tmp_path):
    summary = predict_folder(Predictor(weights, device='cpu'), scans, tmp_path / 'out')
    assert 'only segmentors' in summary['failures'][0]['error']
