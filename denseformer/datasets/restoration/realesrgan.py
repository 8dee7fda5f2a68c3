"""The second-order degradation of Real-ESRGAN: blur, resizing, noise and JPEG, twice over, with ringing at the end.

"Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", https://arxiv.org/abs/2107.10833;
https://github.com/xinntao/Real-ESRGAN, BSD-3-Clause. Images are float64 in [0, 1] here, (H, W, C).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import j1

from denseformer.datasets.restoration.degradations import (
    CompressJPEG,
    Degradation,
    convolve,
    draw,
    rotated_grid,
    to_depth_of,
    to_unit_range,
)
from denseformer.datasets.restoration.transforms import with_channels
from denseformer.registry import TRANSFORMS

Range = tuple[float, float]
FAMILIES = ('gaussian', 'generalized', 'plateau')
FAMILY_SHARES = (0.70, 0.15, 0.15)
ROUND_SHARES = {'gaussian': 0.45 / 0.70, 'generalized': 0.12 / 0.15, 'plateau': 0.12 / 0.15}
"""Probability that a kernel of a family is isotropic."""
INTERPOLATIONS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@dataclass(frozen=True)
class Round:
    """Strengths of one of the two rounds; pairs are ranges to draw from.

    blur: its probability; sigma: of the kernel; up, down: probabilities of enlarging and reducing, by a factor of the
    range resize; noise: standard deviation of Gaussian noise, for values in 0 .. 255; poisson: scale of Poisson noise.
    """

    blur: float
    sigma: Range
    up: float
    down: float
    resize: Range
    noise: Range
    poisson: Range


FIRST = Round(1.0, (0.2, 3), 0.2, 0.7, (0.15, 1.5), (1, 30), (0.05, 3))
SECOND = Round(0.8, (0.2, 1.5), 0.3, 0.4, (0.3, 1.2), (1, 25), (0.05, 2.5))
SINC, LAST_SINC, GRAY_NOISE, GAUSSIAN_NOISE = 0.1, 0.8, 0.4, 0.5
QUALITY = (30, 95)


@TRANSFORMS.register_module()
class RealWorldDegradation(Degradation):
    """Make `img` from `gt_img`, smaller by `scale`, 8-bit, with the published strengths.

    Args:
        scale: how many times smaller `img` gets.
    """

    def __init__(self, *, scale: int):
        self.scale = scale

    def degrade(self, image: np.ndarray) -> np.ndarray:
        size = tuple(side // self.scale for side in image.shape[:2])
        x = to_unit_range(image)
        x = compress(degrade_once(x, FIRST, image.shape[:2]), QUALITY)
        x = degrade_once(x, SECOND, size)
        ringing = sinc_kernel(random_size(), np.random.uniform(np.pi / 3, np.pi)) if chance(LAST_SINC) else None
        compressed_last = chance(0.5)
        x = resize_and_filter(x if compressed_last else compress(x, QUALITY), size, ringing)
        x = compress(x, QUALITY) if compressed_last else x
        return to_depth_of(np.empty(0, np.uint8), x)


def degrade_once(x: np.ndarray, rules: Round, size: tuple[int, ...]) -> np.ndarray:
    """One round, up to its compression; `size` is what the image is resized relative to."""
    if chance(rules.blur):
        x = convolve(x, random_kernel(rules.sigma))
    factor = random_factor(rules)
    x = resize(x, tuple(max(1, int(side * factor)) for side in size))
    noisy = gaussian_noise(x, rules.noise) if chance(GAUSSIAN_NOISE) else poisson_noise(x, rules.poisson)
    return noisy.clip(0, 1)


def compress(x: np.ndarray, quality: Range) -> np.ndarray:
    return to_unit_range(CompressJPEG(quality=quality).degrade(to_depth_of(np.empty(0, np.uint8), x)))


def chance(probability: float) -> bool:
    return np.random.uniform() < probability


def random_size() -> int:
    """Side of a kernel: 7, 9 ... 21."""
    return 7 + 2 * np.random.randint(8)


def random_factor(rules: Round) -> float:
    kind = np.random.uniform()
    if kind < rules.up:
        return np.random.uniform(1, rules.resize[1])
    return np.random.uniform(rules.resize[0], 1) if kind < rules.up + rules.down else 1.0


def resize(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    interpolation = INTERPOLATIONS[np.random.randint(len(INTERPOLATIONS))]
    return with_channels(cv2.resize(x, (size[1], size[0]), interpolation=interpolation))


def resize_and_filter(x: np.ndarray, size: tuple[int, ...], ringing: np.ndarray | None) -> np.ndarray:
    x = resize(x, size)
    return (x if ringing is None else convolve(x, ringing)).clip(0, 1)


def gaussian_noise(x: np.ndarray, strength: Range) -> np.ndarray:
    shape = (*x.shape[:2], 1) if chance(GRAY_NOISE) else x.shape
    return x + np.random.normal(0, draw(strength) / 255, shape)


def poisson_noise(x: np.ndarray, strength: Range) -> np.ndarray:
    """Noise of counts in as many steps as the image has gray levels, a power of two, times a strength."""
    x = np.round(x.clip(0, 1) * 255) / 255
    light = x.mean(2, keepdims=True) if chance(GRAY_NOISE) else x
    levels = 2 ** np.ceil(np.log2(len(np.unique(light))))
    return x + draw(strength) * (np.random.poisson(light * levels) / levels - light)


def random_kernel(sigma: Range) -> np.ndarray:
    """A blur kernel: a sinc, or one of three bell-shaped families."""
    size = random_size()
    if chance(SINC):
        return sinc_kernel(size, np.random.uniform(np.pi / (3 if size < 13 else 5), np.pi))
    family = FAMILIES[np.random.choice(len(FAMILIES), p=FAMILY_SHARES)]
    first = draw(sigma)
    second = first if chance(ROUND_SHARES[family]) else draw(sigma)
    shape = {'gaussian': 1.0, 'generalized': random_shape(0.5, 4), 'plateau': random_shape(1, 2)}[family]
    return bell_kernel(family, size, first, second, shape)


def random_shape(lowest: float, largest: float) -> float:
    """A shape parameter: below 1 and above it with equal probability."""
    return np.random.uniform(lowest, 1) if chance(0.5) else np.random.uniform(1, largest)


def bell_kernel(family: str, size: int, first: float, second: float, shape: float) -> np.ndarray:
    x, y = rotated_grid(size, np.random.uniform(-np.pi, np.pi))
    distance = ((x / first) ** 2 + (y / second) ** 2) ** shape
    kernel = 1 / (distance + 1) if family == 'plateau' else np.exp(-0.5 * distance)
    return kernel / kernel.sum()


def sinc_kernel(size: int, cutoff: float) -> np.ndarray:
    """The circular low-pass filter with this cut-off frequency, in radians, which makes edges ring."""
    x, y = rotated_grid(size, 0.0)
    radius = np.hypot(x, y)
    radius[size // 2, size // 2] = 1
    kernel = cutoff * j1(cutoff * radius) / (2 * np.pi * radius)
    kernel[size // 2, size // 2] = cutoff**2 / (4 * np.pi)
    return kernel / kernel.sum()
