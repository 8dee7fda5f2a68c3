"""PSNR and SSIM against scikit-image, and the differences between the protocols."""

import math

import pytest
import torch
from mmengine.evaluator import Evaluator
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import denseformer  # noqa: F401
from denseformer.restoration.metrics.image_quality import luma, psnr, ssim

GENERATOR = torch.Generator().manual_seed(0)
TARGET = torch.rand(3, 40, 52, generator=GENERATOR)
RESTORED = (TARGET + 0.1 * torch.randn(3, 40, 52, generator=GENERATOR)).clamp(-0.05, 1.05)


def as_bytes(image: torch.Tensor) -> torch.Tensor:
    return (image.clamp(0, 1) * 255).round().byte()


def reference_ssim(a, b) -> float:
    _, similarity = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
    )
    return similarity[5:-5, 5:-5].mean()


@pytest.mark.parametrize('border', [0, 4])
def test_agrees_with_scikit_image(border):
    end = -border or None
    images = [image[:, border:end, border:end].double() for image in (as_bytes(RESTORED), as_bytes(TARGET))]
    a, b = (image.numpy() for image in images)
    ya, yb = (luma(image)[0].numpy() for image in images)
    options = {'crop_border': border}
    assert psnr(RESTORED, TARGET, protocol='rgb', **options) == pytest.approx(
        peak_signal_noise_ratio(b, a, data_range=255)
    )
    assert psnr(RESTORED, TARGET, **options) == pytest.approx(peak_signal_noise_ratio(yb, ya, data_range=255))
    assert psnr(RESTORED, TARGET, protocol='y_rounded', **options) == pytest.approx(
        peak_signal_noise_ratio(yb.round(), ya.round(), data_range=255)
    )
    assert ssim(RESTORED, TARGET, **options) == pytest.approx(reference_ssim(ya, yb), abs=1e-6)
    channels = [reference_ssim(x, y) for x, y in zip(a, b, strict=True)]
    assert ssim(RESTORED, TARGET, protocol='rgb', **options) == pytest.approx(sum(channels) / 3, abs=1e-6)


def test_unrounded_neither_clips_nor_rounds():
    error = (RESTORED.double() - TARGET.double()) * 255
    y = torch.tensordot(torch.tensor((65.481, 128.553, 24.966), dtype=torch.double) / 255, error, 1)
    expected = 10 * math.log10(255**2 / y.square().mean())
    assert psnr(RESTORED, TARGET, protocol='y_unrounded') == pytest.approx(expected)
    assert psnr(RESTORED, TARGET, protocol='y_unrounded') != pytest.approx(psnr(RESTORED, TARGET), abs=1e-4)


@pytest.mark.parametrize('measure', [psnr, ssim])
def test_bytes_words_and_floats_are_on_one_scale(measure):
    restored, target = as_bytes(RESTORED), as_bytes(TARGET)
    expected = measure(restored, target)
    assert measure(restored / 255, target / 255) == pytest.approx(expected)
    words = [image.to(torch.int32).mul(257).to(torch.uint16) for image in (restored, target)]
    assert measure(*words) == pytest.approx(expected)


def test_luma_ends():
    assert luma(torch.full((3, 1, 1), 255.0)).item() == pytest.approx(235)
    assert luma(torch.zeros(3, 1, 1)).item() == 16


def test_grey_images_are_their_own_luma():
    grey, other = TARGET[:1], RESTORED[:1]
    assert psnr(other, grey) == psnr(other, grey, protocol='rgb')


def test_equal_images():
    assert psnr(TARGET, TARGET) == math.inf
    assert ssim(TARGET, TARGET) == pytest.approx(1)


def test_downsampling_averages_large_images():
    large = torch.rand(1, 600, 700, generator=GENERATOR)
    noisy = (large + 0.2 * torch.randn(1, 600, 700, generator=GENERATOR)).clamp(0, 1)
    assert ssim(noisy, large, downsample=True) > ssim(noisy, large)
    assert ssim(RESTORED, TARGET, downsample=True) == ssim(RESTORED, TARGET)


def test_metrics_run_in_an_evaluator():
    evaluator = Evaluator(
        [
            {'type': 'denseformer.PSNR', 'crop_border': 2},
            {'type': 'denseformer.PSNR', 'protocol': 'rgb', 'prefix': 'rgb'},
            {'type': 'denseformer.SSIM', 'crop_border': 2},
        ]
    )
    wide = torch.nn.functional.pad(TARGET, (0, 1, 0, 2))
    evaluator.process([{'pred_img': RESTORED, 'gt_img': wide}, {'pred_img': TARGET, 'gt_img': RESTORED}])
    scores = evaluator.evaluate(2)
    assert scores['PSNR'] == pytest.approx(psnr(RESTORED, TARGET, crop_border=2))
    assert scores['rgb/PSNR'] == pytest.approx(psnr(RESTORED, TARGET, protocol='rgb'))
    assert scores['SSIM'] == pytest.approx(ssim(RESTORED, TARGET, crop_border=2))


def test_wrong_arguments_say_what_is_legal():
    with pytest.raises(ValueError, match='y_rounded'):
        psnr(RESTORED, TARGET, protocol='lab')
    with pytest.raises(ValueError, match='one shape'):
        psnr(RESTORED, TARGET[:, 1:])
    with pytest.raises(ValueError, match='crop_border'):
        psnr(RESTORED, TARGET, crop_border=20)
    with pytest.raises(ValueError, match='11 x 11'):
        ssim(RESTORED, TARGET, crop_border=15)
