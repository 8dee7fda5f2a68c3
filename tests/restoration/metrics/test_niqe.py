"""NIQE: a model fitted to photographs prefers them to what was done to them, and reads BasicSR's files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from denseformer.cli import main
from denseformer.registry import METRICS
from denseformer.restoration.metrics.niqe import RATIOS, block_features, fit_distribution, niqe, read_model

PHOTOGRAPHS = Path(__file__).parents[3] / 'data/photographs'


def photograph(name: str) -> np.ndarray:
    return cv2.imread(str(PHOTOGRAPHS / f'{name}.jpg'))


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)


@pytest.fixture(scope='module')
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('niqe') / 'model.npz'
    assert main(['prepare', 'niqe', str(PHOTOGRAPHS), str(path)]) == 0
    return path


def score(model: Path, *images: np.ndarray, **options) -> float:
    metric = METRICS.build({'type': 'denseformer.NIQE', 'model': str(model), **options})
    metric.process(None, [{'pred_img': as_tensor(image), 'img_path': 'a.png'} for image in images])
    return metric.evaluate(len(images))['NIQE']


def test_what_was_done_to_a_photograph_makes_it_less_natural(model):
    image = photograph('coffee')
    blurred = cv2.GaussianBlur(image, (0, 0), 2)
    noisy = np.random.default_rng(0).normal(image, 25).clip(0, 255).astype(np.uint8)
    natural = score(model, image)
    assert natural < score(model, blurred)
    assert natural < score(model, noisy)
    assert score(model, image, blurred) == pytest.approx((natural + score(model, blurred)) / 2)


def test_the_distance_is_that_of_the_formula():
    """Two blocks: their own mean and covariance beside the model's, by hand."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (96, 192)).astype(float)
    features, _ = block_features(image)
    mean, covariance = rng.normal(size=36), np.diag(rng.uniform(1, 2, 36))
    difference = mean - features.mean(0)
    expected = difference @ np.linalg.inv((covariance + np.cov(features.T)) / 2) @ difference
    assert niqe(image, mean, covariance) == pytest.approx(np.sqrt(expected))


@pytest.mark.parametrize(('name', 'shape'), [('normal', 2.0), ('laplace', 1.0)])
def test_shapes_of_known_distributions_are_found(name, shape):
    values = getattr(np.random.default_rng(0), name)(size=(2, 400, 400))
    found, left, right = fit_distribution(values)
    assert found == pytest.approx([shape, shape], abs=0.03)
    assert left == pytest.approx(right, rel=0.02)
    assert (np.diff(RATIOS) > 0).all()


def test_small_and_flat_images_are_refused_by_name(model):
    for image in (np.zeros((50, 400, 3), np.uint8), np.full((200, 200, 3), 7, np.uint8)):
        with pytest.raises(ValueError, match=r'a\.png: NIQE needs'):
            score(model, image)


def test_a_file_without_a_model_is_refused(tmp_path):
    np.savez(tmp_path / 'other.npz', mean=np.zeros(36))
    for name in ('other.npz', 'absent.npz'):
        with pytest.raises(ValueError, match=rf'{name}.*prepare niqe'):
            read_model(str(tmp_path / name))


def test_borders_can_be_left_out(model):
    image = photograph('coffee')
    framed = cv2.copyMakeBorder(image, 8, 8, 8, 8, cv2.BORDER_CONSTANT)
    assert score(model, framed, crop_border=8) == pytest.approx(score(model, image))
