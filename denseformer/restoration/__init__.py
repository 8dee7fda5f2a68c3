"""Image restoration: networks behind one contract, and what trains and tests them."""

from denseformer.restoration import networks
from denseformer.restoration.checkpoint import from_checkpoint
from denseformer.restoration.metrics import PSNR, SSIM
from denseformer.restoration.resize import imresize

__all__ = ['PSNR', 'SSIM', 'from_checkpoint', 'imresize', 'networks']
