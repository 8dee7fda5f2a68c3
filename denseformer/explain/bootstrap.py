"""Whether one model is better than another on the same images: a paired bootstrap over the images.

B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993: images are drawn with replacement, the same ones
for both models, and the score of each draw is computed as it is for the whole set.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
Statistic = Callable[[np.ndarray], np.ndarray]
"""Weights of the images, (R, N), to the scores of R sets, (R,)."""


@dataclass(frozen=True)
class Comparison:
    """The second score minus the first, with the ends of its 95 % interval, and the share of draws that are better."""

    difference: float
    low: float
    high: float
    better: float

    def sentence(self, name: str) -> str:
        """'+0.80 mIoU, 95 % interval 0.20 to 1.40'."""
        certain = '' if self.low > 0 or self.high < 0 else '; the images do not tell the two apart'
        return f'{self.difference:+.2f} {name}, 95 % interval {self.low:.2f} to {self.high:.2f}{certain}'


def bootstrap_weights(images: int, resamples: int = RESAMPLES) -> np.ndarray:
    """(R, N) float: how often each image is drawn, the same each time."""
    return np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), resamples).astype(float)


def interval(differences: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of draws (R,), or (R, ...) with the same shape behind."""
    low, high = np.nanpercentile(differences, (2.5, 97.5), axis=0)
    return low, high


def compare(first: Statistic, second: Statistic, images: int, weights: np.ndarray | None = None) -> Comparison:
    """Compare two models, whose statistics are of the same images in the same order; a better one scores higher."""
    weights = bootstrap_weights(images) if weights is None else weights
    whole = np.ones((1, images))
    draws = second(weights) - first(weights)
    low, high = interval(draws)
    return Comparison(float(second(whole)[0] - first(whole)[0]), float(low), float(high), float((draws > 0).mean()))


def changed_images(first: np.ndarray, second: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Images whose score fell, and those whose score rose, by at least `least`, the most changed first: (N,), (N,)."""
    change = np.nan_to_num(second - first)
    order = np.argsort(change, kind='stable')
    return order[change[order] <= -least], order[::-1][change[order[::-1]] >= least]
