"""Image restoration: networks behind one contract, and what trains and tests them."""

from denseformer.restoration import networks
from denseformer.restoration.checkpoint import from_checkpoint
from denseformer.restoration.data_sample import RestorationSample
from denseformer.restoration.losses import CharbonnierLoss, FrequencyLoss, L1Loss, MSELoss
from denseformer.restoration.metrics import PSNR, SSIM
from denseformer.restoration.preprocessor import RestorationPreprocessor
from denseformer.restoration.resize import imresize
from denseformer.restoration.restorer import Restorer

__all__ = [
    'PSNR',
    'SSIM',
    'CharbonnierLoss',
    'FrequencyLoss',
    'L1Loss',
    'MSELoss',
    'RestorationPreprocessor',
    'RestorationSample',
    'Restorer',
    'from_checkpoint',
    'imresize',
    'networks',
]
