"""Data sets and transforms that mmsegmentation and mmdetection lack."""

from denseformer.datasets.albumented import Albumented
from denseformer.datasets.coco import (
    ADE20KInstanceDataset,
    ADE20KPanopticDataset,
    CityscapesDataset,
    CityscapesPanopticDataset,
    CocoDataset,
    CocoPanopticDataset,
)
from denseformer.datasets.cubes import LoadCube
from denseformer.datasets.degradations import AddGaussianNoise, AddPoissonNoise, Blur, CompressJPEG
from denseformer.datasets.held_out import HeldOutDataset
from denseformer.datasets.load_instances import LoadInstances
from denseformer.datasets.loading import LoadImage, LoadSegmentation
from denseformer.datasets.masks import FreeFormMask
from denseformer.datasets.panoptic import LoadPanoptic, SamplePanoptic
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
from denseformer.datasets.shuffled import ShuffledDegradation
from denseformer.datasets.transforms import ResizeImage
from denseformer.datasets.voc import VOCDataset, XMLDataset

__all__ = [
    'ADE20KInstanceDataset',
    'ADE20KPanopticDataset',
    'AddGaussianNoise',
    'AddPoissonNoise',
    'Albumented',
    'Blur',
    'CityscapesDataset',
    'CityscapesPanopticDataset',
    'CocoDataset',
    'CocoPanopticDataset',
    'CompressJPEG',
    'FreeFormMask',
    'HeldOutDataset',
    'LoadCube',
    'LoadImage',
    'LoadInstances',
    'LoadPair',
    'LoadPanoptic',
    'LoadSegmentation',
    'PackRestoration',
    'RandomOrientation',
    'RandomPatch',
    'RealWorldDegradation',
    'ResizeImage',
    'RestorationImages',
    'SampleDataset',
    'SampleInstances',
    'SamplePanoptic',
    'ShrinkTarget',
    'ShuffledDegradation',
    'VOCDataset',
    'XMLDataset',
]
