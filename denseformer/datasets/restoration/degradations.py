"""Degradations: noise, compression, blur. Each makes `img` from `gt_img` where there is none yet.

`Albumentations` with only_img=True adds those of that package.

Strengths are a number, or a (lowest, highest) pair that each image draws from evenly. Images come out in the depth they
came in, except under noise that is not clipped, which gives float32 in [0, 1] and beyond.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from denseformer.datasets.restoration.transforms import with_channels
from denseformer.deprecation import renamed_arguments
from denseformer.registry import TRANSFORMS

Strength = float | Sequence[float]


class Degradation(BaseTransform):
    """Base of degradations: replaces `img`, or makes it from `gt_img` where there is none, by `degrade`."""

    def transform(self, results: dict) -> dict:
        image = results.get('img', results['gt_img'])
        results['img'] = self.degrade(np.ascontiguousarray(image))
        return results

    def degrade(self, image: np.ndarray) -> np.ndarray:
        """(H, W, C) -> (H, W, C)."""
        raise NotImplementedError


@TRANSFORMS.register_module()
class AddGaussianNoise(Degradation):
    """Add noise of the same strength to all channels.

    Args:
        sigma: standard deviation, for values in 0 .. 255.
        clip: round and clip to the depth of the image; otherwise the result is float32, as most denoising is reported.
        seed: draw the same noise for every image, as the test protocol of denoising does with 0; None draws new noise
            for each.
    """

    def __init__(self, *, sigma: Strength, clip: bool = False, seed: int | None = None):
        self.sigma = sigma
        self.clip = clip
        self.seed = seed

    def degrade(self, image: np.ndarray) -> np.ndarray:
        generator = np.random if self.seed is None else np.random.RandomState(self.seed)
        noise = generator.normal(0, draw(self.sigma) / 255, image.shape)
        noisy = to_unit_range(image) + noise
        return to_depth_of(image, noisy) if self.clip else noisy.astype(np.float32)


@TRANSFORMS.register_module()
class AddPoissonNoise(Degradation):
    """Replace each value by a count of photons, of which white is `photons`; rounded and clipped.

    Args:
        photons: the fewer, the noisier.
        gray: the same noise in all channels, that of their mean.
    """

    @renamed_arguments(grey='gray')
    def __init__(self, *, photons: Strength, gray: bool = False):
        self.photons = photons
        self.gray = gray

    def degrade(self, image: np.ndarray) -> np.ndarray:
        clean, photons = to_unit_range(image), draw(self.photons)
        light = clean.mean(2, keepdims=True) if self.gray else clean
        noise = np.random.poisson(light * photons) / photons - light
        return to_depth_of(image, clean + noise)


@TRANSFORMS.register_module()
class CompressJPEG(Degradation):
    """Write as JPEG and read again, by OpenCV, which papers on artefact reduction use; 8-bit images only.

    Args:
        quality: 1, the worst, to 100.
    """

    def __init__(self, *, quality: Strength):
        self.quality = quality

    def degrade(self, image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8 or image.shape[2] not in (1, 3):
            raise ValueError(f'JPEG holds 8-bit images of 1 or 3 channels, not {image.dtype} {image.shape}.')
        _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, round(draw(self.quality))])
        flag = cv2.IMREAD_COLOR if image.shape[2] == 3 else cv2.IMREAD_GRAYSCALE
        return cv2.imdecode(data, flag).reshape(image.shape)


@TRANSFORMS.register_module()
class Blur(Degradation):
    """Convolve with a random Gaussian, stretched and rotated; borders are mirrored.

    Args:
        sigma: standard deviations along its two axes, in pixels, drawn one by one.
        size: side of the kernel, odd.
        isotropic: the same along both.
    """

    def __init__(self, *, sigma: Strength, size: int = 21, isotropic: bool = False):
        if size % 2 == 0:
            raise ValueError(f'The side of a blur kernel is odd, not {size}.')
        self.sigma = sigma
        self.size = size
        self.isotropic = isotropic

    def degrade(self, image: np.ndarray) -> np.ndarray:
        first = draw(self.sigma)
        second = first if self.isotropic else draw(self.sigma)
        kernel = gaussian(self.size, first, second, np.random.uniform(0, np.pi))
        return to_depth_of(image, convolve(to_unit_range(image), kernel))


def draw(strength: Strength) -> float:
    if isinstance(strength, (int, float)):
        return float(strength)
    low, high = strength
    return float(np.random.uniform(low, high))


def to_unit_range(image: np.ndarray) -> np.ndarray:
    """float64, integers divided by the largest number of their type."""
    return image.astype(np.float64) / (np.iinfo(image.dtype).max if image.dtype.kind == 'u' else 1)


def to_depth_of(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values in [0, 1], clipped, in the type of `image`; rounded for integers."""
    values = values.clip(0, 1)
    if image.dtype.kind != 'u':
        return values.astype(image.dtype)
    return np.round(values * np.iinfo(image.dtype).max).astype(image.dtype)


def gaussian(size: int, first: float, second: float, angle: float) -> np.ndarray:
    """A Gaussian kernel (size, size) of sum 1, with these standard deviations along axes rotated by `angle`."""
    x, y = rotated_grid(size, angle)
    kernel = np.exp(-0.5 * ((x / first) ** 2 + (y / second) ** 2))
    return kernel / kernel.sum()


def rotated_grid(size: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (size, size) from the centre along two axes rotated by `angle` in radians."""
    line = np.arange(size) - size // 2
    x, y = np.meshgrid(line, line)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return with_channels(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101))
