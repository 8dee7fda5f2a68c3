"""PSNR and SSIM, with the protocol that the compared numbers were measured by.

Protocols (peak 255 throughout):
    'y'            images rounded to 8 bits, their luma not; BasicSR's, in which super-resolution is reported;
    'y_rounded'    luma rounded to 8 bits as well; MATLAB's, for Rain200L, Rain200H and SPA, and in older papers;
    'y_unrounded'  neither clipped nor rounded; CATANet's;
    'rgb'          all channels, rounded to 8 bits.

An image of one channel is its own luma. Luma is that of ITU-R BT.601, 16 .. 235.

Legend: C channels, H W image.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from torch import Tensor

from denseformer.registry import METRICS
from denseformer.restoration.gaussian_blur import blur_valid, gaussian_kernel

LUMA = (65.481, 128.553, 24.966)
PEAK = 255.0


@dataclass(frozen=True)
class Protocol:
    """luma: compare Y rather than the channels; quantize: images to 8 bits before; round_luma: Y as well."""

    luma: bool = True
    quantize: bool = True
    round_luma: bool = False


PROTOCOLS: Mapping[str, Protocol] = {
    'y': Protocol(),
    'y_rounded': Protocol(round_luma=True),
    'y_unrounded': Protocol(quantize=False),
    'rgb': Protocol(luma=False),
}


def psnr(restored: Tensor, target: Tensor, *, protocol: str = 'y', crop_border: int = 0) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal images.

    restored, target: (C, H, W), RGB or of any other channels, floating in [0, 1] or unsigned integers of full range;
    crop_border: rows and columns that are left out at each border, for super-resolution usually the scale.
    """
    restored, target = prepared_pair(restored, target, protocol, crop_border)
    error = (restored - target).square().mean()
    return float(10 * torch.log10(PEAK**2 / error))


def ssim(
    restored: Tensor, target: Tensor, *, protocol: str = 'y', crop_border: int = 0, downsample: bool = False
) -> float:
    """Structural similarity: 11 x 11 Gaussian windows of sigma 1.5 that lie wholly inside, the mean over all channels.

    downsample: average the images to a shorter side of about 256 first, as the authors of SSIM suggest and as DID and
    DDN are measured. The other arguments are those of `psnr`.
    """
    pair = torch.stack(prepared_pair(restored, target, protocol, crop_border))  # (2, C, H, W)
    if downsample:
        pair = average_downsample(pair, max(1, int(min(pair.shape[2:]) / 256 + 0.5)))
    if min(pair.shape[2:]) < 11:
        raise ValueError(f'SSIM needs at least 11 x 11 pixels after cropping, got {tuple(pair.shape[2:])}.')
    x, y = pair
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mx, my, mxx, myy, mxy = blur_valid(torch.stack([x, y, x * x, y * y, x * y]), gaussian_kernel(11, 1.5, x))
    vx, vy, cov = mxx - mx * mx, myy - my * my, mxy - mx * my
    similarity = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(similarity.mean())


def prepared_pair(restored: Tensor, target: Tensor, protocol: str, crop_border: int) -> tuple[Tensor, Tensor]:
    """Both images as the protocol compares them: float64, 0 .. 255, borders cropped."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"There is no protocol '{protocol}'. Known: {', '.join(PROTOCOLS)}.")
    check_shapes(restored, target)
    if crop_border < 0 or 2 * crop_border >= min(restored.shape[1:]):
        raise ValueError(f'crop_border {crop_border} leaves nothing of an image {tuple(restored.shape)}.')
    end = -crop_border or None
    images = [image[:, crop_border:end, crop_border:end] for image in (restored, target)]
    rules = PROTOCOLS[protocol]
    first, second = (channels_of(to_byte_range(image, rules.quantize), rules) for image in images)
    return first, second


@contextmanager
def naming_file(sample: Mapping[str, Any]) -> Iterator[None]:
    """Put the file of a sample before what a ValueError says."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{sample.get("img_path") or sample.get("gt_path")}: {error}') from error


def check_shapes(restored: Tensor, target: Tensor) -> None:
    if restored.ndim != 3 or restored.shape != target.shape:
        shapes = f'{tuple(restored.shape)} and {tuple(target.shape)}'
        raise ValueError(f'The restored image and its target must have one shape (C, H, W), got {shapes}.')


def to_byte_range(image: Tensor, quantize: bool) -> Tensor:
    """float64, 0 .. 255; clipped and rounded if asked for."""
    peak = 1.0 if image.is_floating_point() else float(torch.iinfo(image.dtype).max)
    image = image.double() * (PEAK / peak)
    return image.clamp(0, PEAK).round() if quantize else image


def channels_of(image: Tensor, protocol: Protocol) -> Tensor:
    if not protocol.luma:
        return image
    image = luma(image)
    return image.round() if protocol.round_luma else image


def luma(image: Tensor) -> Tensor:
    """RGB on 0 .. 255 to Y on 16 .. 235: (3, H, W) -> (1, H, W). Other images are their own luma."""
    if image.shape[0] != 3:
        return image
    weights = image.new_tensor(LUMA) / PEAK
    return torch.tensordot(weights, image, 1)[None] + 16


def average_downsample(images: Tensor, factor: int) -> Tensor:
    """Means of factor x factor pixels around every `factor`-th one, borders mirrored: (N, C, H, W) -> smaller."""
    if factor == 1:
        return images
    before = (factor - 1) // 2
    for axis in (2, 3):
        length = images.shape[axis]
        position = torch.arange(-before, length + factor - 1 - before, device=images.device) % (2 * length)
        images = images.index_select(axis, torch.minimum(position, 2 * length - 1 - position))
    return F.avg_pool2d(images, factor, 1)[..., ::factor, ::factor]


class ImageMetric(BaseMetric):
    """The mean over a dataset of a figure per image.

    Data samples carry `pred_img` and `gt_img`, (C, H, W). A target that is larger is cropped on the right and at the
    bottom, as is usual where the scale does not divide its sides.

    Args:
        protocol: 'y', 'y_rounded', 'y_unrounded' or 'rgb'; see this module.
        crop_border: rows and columns that are left out at each border.
        collect_device, prefix: mmengine's.
    """

    measure: Callable[..., float]

    def __init__(
        self, *, protocol: str = 'y', crop_border: int = 0, collect_device: str = 'cpu', prefix: str | None = None
    ):
        super().__init__(collect_device, prefix)
        if protocol not in PROTOCOLS:
            raise ValueError(f"There is no protocol '{protocol}'. Known: {', '.join(PROTOCOLS)}.")
        self.options: dict[str, Any] = {'protocol': protocol, 'crop_border': crop_border}

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        for sample in data_samples:
            restored, target = sample['pred_img'], sample['gt_img']
            target = target[:, : restored.shape[1], : restored.shape[2]].to(restored.device)
            with naming_file(sample):
                self.results.append(type(self).measure(restored, target, **self.options))

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {type(self).__name__: sum(results) / len(results)}


@METRICS.register_module()
class PSNR(ImageMetric):
    """Peak signal-to-noise ratio, the mean of each image's. Its arguments are those of `ImageMetric`."""

    measure = staticmethod(psnr)


@METRICS.register_module()
class SSIM(ImageMetric):
    """Structural similarity, the mean of each image's.

    Args:
        downsample: average images to a shorter side of about 256 first.
        The others are those of `ImageMetric`.
    """

    measure = staticmethod(ssim)

    def __init__(
        self,
        *,
        protocol: str = 'y',
        crop_border: int = 0,
        downsample: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(protocol=protocol, crop_border=crop_border, collect_device=collect_device, prefix=prefix)
        self.options['downsample'] = downsample
