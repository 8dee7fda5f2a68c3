"""The authors' own weights on real images: MATLAB's bicubic to the bit, and CFSR's published PSNR and SSIM."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from denseformer.restoration import from_checkpoint, imresize
from denseformer.restoration.metrics.image_quality import psnr, ssim

DATA = Path(__file__).parents[2].parent / 'shared' / 'data'
pytestmark = pytest.mark.skipif(not (DATA / 'set5').exists(), reason=f'the Set5 images are not at {DATA / "set5"}')
PUBLISHED = {2: (38.07, 0.9607), 3: (34.50, 0.9279), 4: (32.33, 0.8964)}
NAMES = ('baby', 'bird', 'butterfly', 'head', 'woman')


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert('RGB'))


def cropped(name: str, scale: int) -> np.ndarray:
    """The original, cropped on the right and at the bottom to a multiple of the scale."""
    image = read(DATA / 'set5' / 'HR' / f'{name}.png')
    return image[: image.shape[0] // scale * scale, : image.shape[1] // scale * scale]


def low_resolution(name: str, scale: int) -> np.ndarray:
    return read(DATA / 'set5' / 'LR_bicubic' / f'X{scale}' / f'{name}x{scale}.png')


def to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)  # (3, H, W)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('scale', [2, 3, 4, 8])
def test_bicubic_shrinking_equals_the_published_images(name, scale):
    resized = imresize(cropped(name, scale), 1 / scale, round_between=scale != 8)
    assert np.count_nonzero(resized != low_resolution(name, scale)) == 0


@pytest.mark.parametrize(('scale', 'value'), [(2, (33.678, 0.9304)), (3, (30.404, 0.8690)), (4, (28.431, 0.8113))])
def test_bicubic_enlarging_scores_as_matlab_does(scale, value):
    scores = []
    for name in NAMES:
        restored = to_tensor(imresize(low_resolution(name, scale), scale))
        target = to_tensor(cropped(name, scale))
        scores.append((psnr(restored, target, crop_border=scale), ssim(restored, target, crop_border=scale)))
    mean = np.mean(scores, axis=0)
    assert mean[0] == pytest.approx(value[0], abs=0.005)
    assert mean[1] == pytest.approx(value[1], abs=2e-4)


@pytest.mark.parametrize('scale', PUBLISHED)
def test_cfsr_scores_as_published(scale):
    network = from_checkpoint(DATA / 'checkpoints' / f'CFSR_x{scale}.pth')
    assert (network.scale, network.merged) == (scale, True)
    scores = []
    for name in NAMES:
        with torch.inference_mode():
            restored = network(to_tensor(low_resolution(name, scale))[None] / 255)[0]
        target = to_tensor(cropped(name, scale)) / 255
        scores.append(
            (
                psnr(restored, target, crop_border=scale),
                ssim(restored, target, crop_border=scale),
                psnr(restored, target, crop_border=scale, protocol='y_rounded'),
                psnr(restored, target, crop_border=scale, protocol='y_unrounded'),
                psnr(restored, target, crop_border=scale, protocol='rgb'),
                psnr(restored, target),
            )
        )
    mean = np.mean(scores, axis=0)
    assert mean[0] == pytest.approx(PUBLISHED[scale][0], abs=0.01)
    assert mean[1] == pytest.approx(PUBLISHED[scale][1], abs=2e-4)
    measured = {2: (37.984, 38.081, 35.866, 38.037), 3: (34.464, 34.505, 32.495, 34.448)}
    measured[4] = (32.305, 32.329, 30.412, 32.211)
    assert mean[2:] == pytest.approx(measured[scale], abs=0.002)
