"""Image restoration: networks behind one contract, and what trains and tests them."""

from denseformer.restoration import networks
from denseformer.restoration.adversarial import (
    AdversarialRestorer,
    GANLoss,
    GANOptimWrapperConstructor,
    UNetDiscriminator,
)
from denseformer.restoration.checkpoint import from_checkpoint
from denseformer.restoration.data_sample import RestorationSample
from denseformer.restoration.inpainting import InpaintingRestorer
from denseformer.restoration.losses.perceptual import PerceptualLoss
from denseformer.restoration.losses.pixel import CharbonnierLoss, FrequencyLoss, L1Loss, MSELoss
from denseformer.restoration.metrics.image_quality import PSNR, SSIM
from denseformer.restoration.metrics.lpips import LPIPS
from denseformer.restoration.metrics.niqe import NIQE
from denseformer.restoration.metrics.spectral import SpectralMetric
from denseformer.restoration.preprocessor import RestorationPreprocessor
from denseformer.restoration.progressive import ProgressivePreprocessor
from denseformer.restoration.resize import imresize
from denseformer.restoration.restorer import Restorer

__all__ = [
    'LPIPS',
    'NIQE',
    'PSNR',
    'SSIM',
    'AdversarialRestorer',
    'CharbonnierLoss',
    'FrequencyLoss',
    'GANLoss',
    'GANOptimWrapperConstructor',
    'InpaintingRestorer',
    'L1Loss',
    'MSELoss',
    'PerceptualLoss',
    'ProgressivePreprocessor',
    'RestorationPreprocessor',
    'RestorationSample',
    'Restorer',
    'SpectralMetric',
    'UNetDiscriminator',
    'from_checkpoint',
    'imresize',
    'networks',
]
