"""Data sets and transforms that mmsegmentation and mmdetection lack."""

from denseformer.datasets.loading import LoadImage, LoadSegmentation
from denseformer.datasets.sample_dataset import SampleDataset
from denseformer.datasets.transforms import ResizeImage

__all__ = ['LoadImage', 'LoadSegmentation', 'ResizeImage', 'SampleDataset']
