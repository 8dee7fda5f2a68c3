"""Hyperspectral figures on images whose figures are known."""

import math

import pytest
import torch

from denseformer.restoration import RestorationSample, SpectralMetric
from denseformer.restoration.metrics.spectral import band_psnr, ergas, spectral_angle


def test_brightness_does_not_change_the_angle():
    cube = torch.rand(7, 5, 6) + 0.1
    assert spectral_angle(0.5 * cube, cube) == pytest.approx(0, abs=1e-3)
    first, second = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    first[0], second[0], second[1] = 1, 1, 1
    assert spectral_angle(first, second) == pytest.approx(45)


def test_the_peak_signal_is_taken_band_by_band():
    target = torch.full((2, 4, 4), 0.5)
    restored = target + torch.tensor([0.1, 0.01]).view(2, 1, 1)
    assert band_psnr(restored, target) == pytest.approx((20 + 40) / 2, abs=1e-4)


def test_the_global_error_is_relative_to_each_bands_mean():
    target = torch.tensor([0.5, 0.25]).view(2, 1, 1).expand(2, 4, 4)
    restored = 1.1 * target
    assert ergas(restored, target, scale=4) == pytest.approx(100 / 4 * 0.1, rel=1e-4)
    assert math.isclose(ergas(restored, target, scale=2), 2 * ergas(restored, target, scale=4))


def test_the_metric_averages_over_images():
    target = torch.rand(3, 8, 8) + 0.1
    metric = SpectralMetric(scale=2)
    samples = [RestorationSample(pred_img=1.1 * target, gt_img=target).to_dict() for _ in range(2)]
    metric.process(None, samples)
    result = metric.compute_metrics(metric.results)
    assert set(result) == {'PSNR', 'SAM', 'ERGAS'}
    assert result['ERGAS'] == pytest.approx(ergas(1.1 * target, target, scale=2))


def test_black_images_have_no_figures():
    with pytest.raises(ValueError, match='black'):
        spectral_angle(torch.zeros(2, 3, 3), torch.ones(2, 3, 3))


def test_a_band_of_zeros_is_named_with_its_file():
    target = torch.rand(3, 8, 8) + 0.1
    target[1] = 0
    sample = RestorationSample(pred_img=target + 0.1, gt_img=target, metainfo={'gt_path': 'cubes/a.mat'}).to_dict()
    with pytest.raises(ValueError, match=r'cubes/a\.mat: ERGAS is not defined: .* in the bands \[1\]'):
        SpectralMetric(scale=2).process(None, [sample])
