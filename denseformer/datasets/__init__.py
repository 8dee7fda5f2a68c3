"""Data sets and transforms that mmsegmentation and mmdetection lack."""

from denseformer.datasets.loading import LoadImage, LoadSegmentation
from denseformer.datasets.restoration_images import RestorationImages
from denseformer.datasets.restoration_transforms import (
    LoadPair,
    PackRestoration,
    RandomOrientation,
    RandomPatch,
    ShrinkTarget,
)
from denseformer.datasets.sample_dataset import SampleDataset
from denseformer.datasets.transforms import ResizeImage

__all__ = [
    'LoadImage',
    'LoadPair',
    'LoadSegmentation',
    'PackRestoration',
    'RandomOrientation',
    'RandomPatch',
    'ResizeImage',
    'RestorationImages',
    'SampleDataset',
    'ShrinkTarget',
]
