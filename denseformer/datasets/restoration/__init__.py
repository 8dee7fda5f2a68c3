"""Pairs of a degraded image and its target: folders, LMDB and hyperspectral files, degradations, crops, packing."""

from denseformer.datasets.restoration.bsrgan import BSRGANDegradation
from denseformer.datasets.restoration.degradations import AddGaussianNoise, AddPoissonNoise, Blur, CompressJPEG
from denseformer.datasets.restoration.free_form_masks import FreeFormMask
from denseformer.datasets.restoration.hyperspectral import LoadCube
from denseformer.datasets.restoration.image_folders import RestorationImages
from denseformer.datasets.restoration.realesrgan import RealWorldDegradation
from denseformer.datasets.restoration.transforms import (
    BicubicDownsample,
    LoadImagePair,
    PackRestoration,
    PairedRandomCrop,
    RandomOrientation,
)

__all__ = [
    'AddGaussianNoise',
    'AddPoissonNoise',
    'BSRGANDegradation',
    'BicubicDownsample',
    'Blur',
    'CompressJPEG',
    'FreeFormMask',
    'LoadCube',
    'LoadImagePair',
    'PackRestoration',
    'PairedRandomCrop',
    'RandomOrientation',
    'RealWorldDegradation',
    'RestorationImages',
]
