"""Scores of image restoration: PSNR and SSIM, LPIPS, NIQE, and those of hyperspectral images."""

from denseformer.restoration.metrics.image_quality import PSNR, SSIM
from denseformer.restoration.metrics.lpips import LPIPS
from denseformer.restoration.metrics.niqe import NIQE
from denseformer.restoration.metrics.spectral import SpectralMetric

__all__ = ['LPIPS', 'NIQE', 'PSNR', 'SSIM', 'SpectralMetric']
