"""Everything that configs and scripts name of image restoration; importing it registers it, networks included."""

from denseformer.restoration.adversarial import AdversarialRestorer, GANOptimWrapperConstructor
from denseformer.restoration.checkpoint import from_checkpoint
from denseformer.restoration.data_sample import RestorationSample
from denseformer.restoration.discriminator import UNetDiscriminator
from denseformer.restoration.inpainting import InpaintingRestorer
from denseformer.restoration.losses import (
    CharbonnierLoss,
    FrequencyLoss,
    GANLoss,
    L1Loss,
    MSELoss,
    PerceptualLoss,
)
from denseformer.restoration.metrics import LPIPS, NIQE, PSNR, SSIM, SpectralMetric
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
]
