"""Image restoration: networks behind one contract, and what trains and tests them."""

from denseformer.restoration import networks
from denseformer.restoration.adversarial import (
    AdversarialRestorer,
    GANLoss,
    PartsOptimWrapperConstructor,
    UNetDiscriminator,
)
from denseformer.restoration.checkpoint import from_checkpoint
from denseformer.restoration.data_sample import RestorationSample
from denseformer.restoration.inpainting import InpaintingRestorer
from denseformer.restoration.losses import CharbonnierLoss, FrequencyLoss, L1Loss, MSELoss
from denseformer.restoration.lpips import LPIPS
from denseformer.restoration.metrics import PSNR, SSIM
from denseformer.restoration.naturalness import NIQE
from denseformer.restoration.perceptual import PerceptualLoss
from denseformer.restoration.preprocessor import RestorationPreprocessor
from denseformer.restoration.progressive import ProgressivePreprocessor
from denseformer.restoration.resize import imresize
from denseformer.restoration.restorer import Restorer
from denseformer.restoration.spectral_metrics import SpectralMetric

__all__ = [
    'LPIPS',
    'NIQE',
    'PSNR',
    'SSIM',
    'AdversarialRestorer',
    'CharbonnierLoss',
    'FrequencyLoss',
    'GANLoss',
    'InpaintingRestorer',
    'L1Loss',
    'MSELoss',
    'PartsOptimWrapperConstructor',
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
