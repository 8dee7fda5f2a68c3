"""The degradation of BSRGAN: blur, downsampling, noise and JPEG in random order.

"Designing a Practical Degradation Model for Deep Blind Image Super-Resolution", https://arxiv.org/abs/2103.14006;
https://github.com/cszn/KAIR, MIT. SwinIR's recipe has it; the noise of a simulated camera, which needs a model of one,
is left out, as it is there. Images are float64 in [0, 1] here, (H, W, C).
"""

from functools import partial

import numpy as np

from denseformer.datasets.restoration.degradations import (
    Degradation,
    convolve,
    draw,
    gaussian,
    to_depth_of,
    to_unit_range,
)
from denseformer.datasets.restoration.realesrgan import QUALITY, chance, compress, resize
from denseformer.registry import TRANSFORMS
from denseformer.restoration.resize import imresize

HALVED_FIRST, ANISOTROPIC, INTERPOLATED, COMPRESSED = 0.25, 0.5, 0.75, 0.9
NOISE = (2 / 255, 25 / 255)
SUBSAMPLING_KERNEL = 25


@TRANSFORMS.register_module()
class BSRGANDegradation(Degradation):
    """Make `img` from `gt_img`, smaller by `scale`, 8-bit, with the published strengths.

    Args:
        scale: how many times smaller `img` gets.
    """

    def __init__(self, *, scale: int):
        self.scale = scale

    def degrade(self, image: np.ndarray) -> np.ndarray:
        size = tuple(side // self.scale for side in image.shape[:2])
        x, left = to_unit_range(image), self.scale
        if self.scale == 4 and chance(HALVED_FIRST):
            x, left = halve(x), 2
        resizings = iter((partial(random_downsample, scale=left), partial(resize, size=size)))

        def next_resizing(x: np.ndarray) -> np.ndarray:
            return next(resizings)(x).clip(0, 1)

        blur = partial(random_blur, scale=left)
        steps = [blur, blur, next_resizing, next_resizing, add_noise, maybe_compress]
        for i in np.random.permutation(len(steps)):
            x = steps[i](x)
        return to_depth_of(np.empty(0, np.uint8), compress(x, QUALITY))


def halve(x: np.ndarray) -> np.ndarray:
    size = tuple(side // 2 for side in x.shape[:2])
    return (resize(x, size) if chance(0.5) else imresize(x, size=size)).clip(0, 1)


def random_blur(x: np.ndarray, scale: int) -> np.ndarray:
    size = 7 + 2 * np.random.randint(10)
    if chance(ANISOTROPIC):
        first, second = np.sqrt(np.random.uniform(1e-6, 4 + scale, 2))
        return convolve(x, gaussian(size, first, second, np.random.uniform(0, np.pi)))
    sigma = draw((1e-3, 2 + 0.2 * scale))
    return convolve(x, gaussian(size, sigma, sigma, 0.0))


def random_downsample(x: np.ndarray, scale: int) -> np.ndarray:
    """Interpolate to a random size, or take every `scale`-th pixel of the blurred image."""
    if chance(INTERPOLATED):
        factor = draw((1, 2 * scale))
        return resize(x, tuple(max(1, int(side / factor)) for side in x.shape[:2]))
    position = np.arange(SUBSAMPLING_KERNEL) - SUBSAMPLING_KERNEL // 2 - (scale - 1) / 2  # from the middle of a cell
    line = np.exp(-0.5 * (position / draw((0.1, 0.6 * scale))) ** 2)
    return convolve(x, np.outer(line, line) / line.sum() ** 2)[::scale, ::scale]


def add_noise(x: np.ndarray) -> np.ndarray:
    """Add Gaussian noise: independent, the same in all channels, or correlated between them."""
    kind = np.random.uniform()
    if kind > 0.6:
        noise = np.random.normal(0, draw(NOISE), x.shape)
    elif kind < 0.4:
        noise = np.random.normal(0, draw(NOISE), (*x.shape[:2], 1))
    else:
        channels = x.shape[2]
        axes, _ = np.linalg.qr(np.random.uniform(size=(channels, channels)))
        covariance = NOISE[1] ** 2 * np.abs(axes.T @ np.diag(np.random.uniform(size=channels)) @ axes)
        noise = np.random.multivariate_normal(np.zeros(channels), covariance, x.shape[:2], check_valid='ignore')
    return (x + noise).clip(0, 1)


def maybe_compress(x: np.ndarray) -> np.ndarray:
    return compress(x, QUALITY) if chance(COMPRESSED) else x
