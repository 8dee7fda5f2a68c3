"""The degradation of BSRGAN: blur, shrinking, noise and JPEG in random order.

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
    in_depth_of,
    on_unit_scale,
)
from denseformer.datasets.restoration.realesrgan import QUALITY, chance, compressed, resize
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
        x, left = on_unit_scale(image), self.scale
        if self.scale == 4 and chance(HALVED_FIRST):
            x, left = halved(x), 2
        resizings = iter((partial(shrunk, scale=left), partial(resize, size=size)))

        def next_resizing(x: np.ndarray) -> np.ndarray:
            return next(resizings)(x).clip(0, 1)

        blur = partial(blurred, scale=left)
        steps = [blur, blur, next_resizing, next_resizing, noisy, mostly_compressed]
        for i in np.random.permutation(len(steps)):
            x = steps[i](x)
        return in_depth_of(np.empty(0, np.uint8), compressed(x, QUALITY))


def halved(x: np.ndarray) -> np.ndarray:
    size = tuple(side // 2 for side in x.shape[:2])
    return (resize(x, size) if chance(0.5) else imresize(x, size=size)).clip(0, 1)


def blurred(x: np.ndarray, scale: int) -> np.ndarray:
    size = 7 + 2 * np.random.randint(10)
    if chance(ANISOTROPIC):
        first, second = np.sqrt(np.random.uniform(1e-6, 4 + scale, 2))
        return convolve(x, gaussian(size, first, second, np.random.uniform(0, np.pi)))
    sigma = draw((1e-3, 2 + 0.2 * scale))
    return convolve(x, gaussian(size, sigma, sigma, 0.0))


def shrunk(x: np.ndarray, scale: int) -> np.ndarray:
    """By an interpolation to a random size, or by taking every `scale`-th pixel of the blurred image."""
    if chance(INTERPOLATED):
        factor = draw((1, 2 * scale))
        return resize(x, tuple(max(1, int(side / factor)) for side in x.shape[:2]))
    position = np.arange(SUBSAMPLING_KERNEL) - SUBSAMPLING_KERNEL // 2 - (scale - 1) / 2  # from the middle of a cell
    line = np.exp(-0.5 * (position / draw((0.1, 0.6 * scale))) ** 2)
    return convolve(x, np.outer(line, line) / line.sum() ** 2)[::scale, ::scale]


def noisy(x: np.ndarray) -> np.ndarray:
    """Gaussian noise: of each value, of grey, or correlated between the channels."""
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


def mostly_compressed(x: np.ndarray) -> np.ndarray:
    return compressed(x, QUALITY) if chance(COMPRESSED) else x
