"""Scores of hyperspectral restoration: PSNR over bands, spectral angle (SAM) and relative global error (ERGAS).

Images are (C, H, W), floating in [0, 1] or unsigned integers of full range; nothing is clipped or rounded.

Legend: C bands, H W image.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from denseformer.registry import METRICS
from denseformer.restoration.metrics.image_quality import check_shapes, naming_file
from denseformer.restoration.preprocessor import to_unit_range


def band_psnr(restored: Tensor, target: Tensor) -> float:
    """The mean over the bands of each one's peak signal-to-noise ratio in dB, peak 1."""
    restored, target = prepared_pair(restored, target)
    error = (restored - target).square().mean((1, 2))  # (C,)
    return float((-10 * torch.log10(error)).mean())


def spectral_angle(restored: Tensor, target: Tensor) -> float:
    """SAM: the mean over the pixels of the angle between both spectra, in degrees; dark pixels do not count."""
    restored, target = (image.flatten(1) for image in prepared_pair(restored, target))  # (C, N)
    norms = restored.norm(dim=0) * target.norm(dim=0)  # (N,)
    bright = norms > 0
    if not bool(bright.any()):
        raise ValueError('The spectral angle is not defined: one of the images is black everywhere.')
    cosine = ((restored * target).sum(0)[bright] / norms[bright]).clamp(-1, 1)
    return math.degrees(float(torch.arccos(cosine).mean()))


def ergas(restored: Tensor, target: Tensor, *, scale: int) -> float:
    """The relative dimensionless global error: 100 / scale * sqrt(mean over the bands of MSE / mean squared).

    scale: how many times larger the restored image is than what it was restored from.
    """
    restored, target = prepared_pair(restored, target)
    error = (restored - target).square().mean((1, 2))
    mean = target.mean((1, 2))
    if bool((mean == 0).any()):
        bands = (mean == 0).nonzero().flatten().tolist()
        raise ValueError(f'ERGAS is not defined: the target is black everywhere in the bands {bands}. Leave them out.')
    return 100 / scale * math.sqrt(float((error / mean.square()).mean()))


def prepared_pair(restored: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    check_shapes(restored, target)
    return to_unit_range(restored).double(), to_unit_range(target).double()


@METRICS.register_module()
class SpectralMetric(BaseMetric):
    """PSNR (the mean over the bands), SAM in degrees and ERGAS: the means of each image's.

    Args:
        scale: how many times larger restored images are than what they were restored from.
        collect_device, prefix: mmengine's.
    """

    def __init__(self, *, scale: int, collect_device: str = 'cpu', prefix: str | None = None):
        super().__init__(collect_device, prefix)
        self.scale = scale

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        for sample in data_samples:
            restored, target = sample['pred_img'], sample['gt_img']
            target = target.to(restored.device)
            with naming_file(sample):
                values = band_psnr(restored, target), spectral_angle(restored, target)
                self.results.append((*values, ergas(restored, target, scale=self.scale)))

    def compute_metrics(self, results: list[tuple[float, float, float]]) -> dict[str, float]:
        columns = zip(*results, strict=True)
        return {
            name: sum(column) / len(results) for name, column in zip(('PSNR', 'SAM', 'ERGAS'), columns, strict=True)
        }
