"""Losses of image restoration: pixel by pixel, in frequency, in the features of VGG19, and against a discriminator."""

from denseformer.restoration.losses.adversarial import GANLoss
from denseformer.restoration.losses.perceptual import PerceptualLoss
from denseformer.restoration.losses.pixel import CharbonnierLoss, FrequencyLoss, L1Loss, MSELoss

__all__ = ['CharbonnierLoss', 'FrequencyLoss', 'GANLoss', 'L1Loss', 'MSELoss', 'PerceptualLoss']
