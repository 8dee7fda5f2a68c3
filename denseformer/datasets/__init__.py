"""Data sets and transforms that mmsegmentation and mmdetection lack."""

from denseformer.datasets.cubes import LoadCube
from denseformer.datasets.degradations import AddGaussianNoise, AddPoissonNoise, Albumented, Blur, CompressJPEG
from denseformer.datasets.loading import LoadImage, LoadSegmentation
from denseformer.datasets.masks import FreeFormMask
from denseformer.datasets.real_world import RealWorldDegradation
from denseformer.datasets.restoration_images import RestorationImages
from denseformer.datasets.restoration_transforms import (
    LoadPair,
    PackRestoration,
    RandomOrientation,
    RandomPatch,
    ShrinkTarget,
)
from denseformer.datasets.sample_dataset import SampleDataset
from denseformer.datasets.sample_instances import SampleInstances
from denseformer.datasets.transforms import ResizeImage

__all__ = [
    'AddGaussianNoise',
    'AddPoissonNoise',
    'Albumented',
    'Blur',
    'CompressJPEG',
    'FreeFormMask',
    'LoadCube',
    'LoadImage',
    'LoadPair',
    'LoadSegmentation',
    'PackRestoration',
    'RandomOrientation',
    'RandomPatch',
    'RealWorldDegradation',
    'ResizeImage',
    'RestorationImages',
    'SampleDataset',
    'SampleInstances',
    'ShrinkTarget',
]
