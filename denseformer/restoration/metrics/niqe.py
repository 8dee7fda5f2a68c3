"""NIQE, a no-reference score: the distance of an image's statistics from those of sharp photographs.

"Making a Completely Blind Image Quality Analyzer", https://doi.org/10.1109/LSP.2012.2227726. The model of natural
images is a file: the authors', as BasicSR ships it (niqe_pris_params.npz), or one fitted to photographs with
`denseformer prepare niqe`. Figures of different models cannot be compared.

Legend: H W image, n blocks, P pixels of a block.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric
from torch import Tensor

from denseformer.registry import METRICS
from denseformer.restoration.metrics.image_quality import luma, naming_file, to_byte_range
from denseformer.restoration.resize import imresize

BLOCK = 96
FEATURES = 36
SHARP = 0.75
"""Sharpness, relative to a photograph's sharpest block, of the blocks that a model is fitted to."""
gamma = np.vectorize(math.gamma, otypes=[float])
SHAPES = np.arange(0.2, 10.001, 0.001)
RATIOS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))
"""E[|x|]**2 / E[x**2] of generalised Gaussians of these shapes, increasing."""
NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1))


def niqe(image: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """The distance of a luma image (H, W), 0 .. 255, from a model: its mean (36,) and covariance (36, 36).

    Raises ValueError for an image with fewer than two blocks of 96 x 96 pixels that are not flat.
    """
    features, _ = block_features(image)
    whole = features[~np.isnan(features).any(1)]
    if len(whole) < 2:
        raise ValueError(f'NIQE needs two blocks of {BLOCK} x {BLOCK} pixels with some texture, got {image.shape}.')
    difference = mean - np.nanmean(features, 0)
    inverse = np.linalg.pinv((covariance + np.cov(whole, rowvar=False)) / 2)
    return float(np.sqrt(difference @ inverse @ difference))


def fit_model(images: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The mean (36,) and covariance (36, 36) of the sharp blocks of luma images (H, W), 0 .. 255."""
    chosen = []
    for image in images:
        features, sharpness = block_features(image)
        chosen.append(features[(sharpness >= SHARP * sharpness.max()) & ~np.isnan(features).any(1)])
    blocks = np.concatenate(chosen) if chosen else np.zeros((0, FEATURES))
    if len(blocks) <= FEATURES:
        raise ValueError(
            f'A model needs more than {FEATURES} sharp blocks of {BLOCK} x {BLOCK} pixels, got {len(blocks)}; '
            'give more or larger photographs.'
        )
    return blocks.mean(0), np.cov(blocks, rowvar=False)


def write_model(path: Path, images: Iterable[np.ndarray]) -> None:
    """Fit a model to luma images and write it, in BasicSR's layout, to a .npz file."""
    mean, covariance = fit_model(images)
    np.savez(path, mu_pris_param=mean[None], cov_pris_param=covariance)


def read_model(path: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the covariance in a .npz file, (36,) and (36, 36)."""
    try:
        with np.load(path, allow_pickle=False) as content:
            mean, covariance = content['mu_pris_param'], content['cov_pris_param']
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"'{path}' holds no model of natural images ({error}): NIQE reads BasicSR's niqe_pris_params.npz, or what "
            '`denseformer prepare niqe FOLDER FILE.npz` makes of your photographs.'
        ) from error
    return mean.reshape(FEATURES), covariance.reshape(FEATURES, FEATURES)


def block_features(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The statistics of each block at full and at half size, (n, 36), NaN where it is flat, and its sharpness, (n,)."""
    rows, columns = (side // BLOCK for side in image.shape)
    if not rows * columns:
        raise ValueError(f'NIQE needs images of at least {BLOCK} x {BLOCK} pixels, got {image.shape}.')
    image = np.asarray(image[: rows * BLOCK, : columns * BLOCK], np.float64)
    normal, spread = normalize_locally(image)
    half, _ = normalize_locally(255 * imresize(image / 255, 0.5))
    features = [statistics(blocks_of(x, side)) for x, side in ((normal, BLOCK), (half, BLOCK // 2))]
    return np.concatenate(features, 1), blocks_of(spread, BLOCK).mean((1, 2))


def normalize_locally(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(image - mean) / (deviation + 1), in Gaussian windows of 7 x 7, and the deviation."""
    line = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    window = np.outer(line, line) / line.sum() ** 2
    mean, square = (cv2.filter2D(x, -1, window, borderType=cv2.BORDER_REPLICATE) for x in (image, image**2))
    deviation = np.sqrt(np.abs(square - mean**2))
    return (image - mean) / (deviation + 1), deviation


def blocks_of(x: np.ndarray, side: int) -> np.ndarray:
    """(H, W) -> (n, side, side)."""
    rows, columns = (length // side for length in x.shape)
    return x.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def statistics(blocks: np.ndarray) -> np.ndarray:
    """The shapes of the distributions of values, and of products of neighbors: (n, side, side) -> (n, 18)."""
    shape, left, right = fit_distribution(blocks)
    features = [shape, (left + right) / 2]
    for step in NEIGHBORS:
        shape, left, right = fit_distribution(blocks * np.roll(blocks, step, (1, 2)))
        features += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return np.stack(features, 1)


def fit_distribution(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shape and scales, left and right of zero, of an asymmetric generalised Gaussian, each (n,); by moments."""
    values = blocks.reshape(len(blocks), -1)  # (n, P)
    left, right = (one_sided_deviation(values, values * sign > 0) for sign in (-1, 1))
    with np.errstate(divide='ignore', invalid='ignore'):
        skew = left / right
        ratio = np.abs(values).mean(1) ** 2 / (values**2).mean(1)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    above = np.searchsorted(RATIOS, ratio).clip(1, len(RATIOS) - 1)
    nearest = above - (ratio - RATIOS[above - 1] <= RATIOS[above] - ratio)
    shape = np.where(np.isnan(ratio), np.nan, SHAPES[nearest])
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def one_sided_deviation(values: np.ndarray, side: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.sqrt((values**2 * side).sum(1) / side.sum(1))


@METRICS.register_module()
class NIQE(BaseMetric):
    """The mean over a dataset of each restored image's NIQE, by its luma, rounded to 8 bits; lower is better.

    Args:
        model: .npz file of the model of natural images; see this module.
        crop_border: rows and columns that are left out at each border.
        collect_device, prefix: mmengine's.

    Raises ValueError, naming the image, for one that is too small or flat.
    """

    def __init__(self, *, model: str, crop_border: int = 0, collect_device: str = 'cpu', prefix: str | None = None):
        super().__init__(collect_device, prefix)
        self.mean, self.covariance = read_model(model)
        self.crop_border = crop_border

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        for sample in data_samples:
            image, end = rounded_luma(sample['pred_img']), -self.crop_border or None
            with naming_file(sample):
                value = niqe(image[self.crop_border : end, self.crop_border : end], self.mean, self.covariance)
            self.results.append(value)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {'NIQE': sum(results) / len(results)}


def rounded_luma(image: Tensor) -> np.ndarray:
    """(1 or 3, H, W), floating in [0, 1] or unsigned integers of full range -> (H, W), whole numbers of 0 .. 255."""
    return luma(to_byte_range(image, quantize=True)).round().cpu().numpy()[0]
