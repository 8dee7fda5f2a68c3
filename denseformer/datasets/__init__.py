"""Datasets and transforms that mmsegmentation and mmdetection lack, in one room for each task.

`segmentation` reads label maps, `detection` boxes, masks and panoptic maps, `restoration` pairs of images and what
degrades them; `sample` draws the dataset that all three tasks can be tried on. Importing this package registers them
all.
"""

from denseformer.datasets.albumentations import Albumentations
from denseformer.datasets.detection import (
    ADE20KInstanceDataset,
    ADE20KPanopticDataset,
    AttributeDataset,
    CityscapesDataset,
    CityscapesPanopticDataset,
    CocoDataset,
    CocoPanopticDataset,
    FashionpediaDataset,
    HeldOutDataset,
    LoadAttributes,
    LoadInstances,
    LoadPanoptic,
    PackAttributes,
    PasteSegments,
    VOCDataset,
    XMLDataset,
)
from denseformer.datasets.loading import LoadImage
from denseformer.datasets.restoration import (
    AddGaussianNoise,
    AddPoissonNoise,
    BicubicDownsample,
    Blur,
    BSRGANDegradation,
    CompressJPEG,
    FreeFormMask,
    LoadCube,
    LoadImagePair,
    PackRestoration,
    PairedRandomCrop,
    RandomOrientation,
    RealWorldDegradation,
    RestorationImages,
)
from denseformer.datasets.sample.instances import SampleInstances
from denseformer.datasets.sample.panoptic import SamplePanoptic
from denseformer.datasets.sample.semantic import SampleDataset
from denseformer.datasets.segmentation import (
    ACDCDataset,
    ISICDataset,
    LoadImageSlice,
    LoadLabelSlice,
    LoadSegmentation,
    MaskList,
    VolumeDataset,
)
from denseformer.datasets.tar_shards import TarShards
from denseformer.datasets.transforms import PadImage, ResizeImage

__all__ = [
    'ACDCDataset',
    'ADE20KInstanceDataset',
    'ADE20KPanopticDataset',
    'AddGaussianNoise',
    'AddPoissonNoise',
    'Albumentations',
    'AttributeDataset',
    'BSRGANDegradation',
    'BicubicDownsample',
    'Blur',
    'CityscapesDataset',
    'CityscapesPanopticDataset',
    'CocoDataset',
    'CocoPanopticDataset',
    'CompressJPEG',
    'FashionpediaDataset',
    'FreeFormMask',
    'HeldOutDataset',
    'ISICDataset',
    'LoadAttributes',
    'LoadCube',
    'LoadImage',
    'LoadImagePair',
    'LoadImageSlice',
    'LoadInstances',
    'LoadLabelSlice',
    'LoadPanoptic',
    'LoadSegmentation',
    'MaskList',
    'PackAttributes',
    'PackRestoration',
    'PadImage',
    'PairedRandomCrop',
    'PasteSegments',
    'RandomOrientation',
    'RealWorldDegradation',
    'ResizeImage',
    'RestorationImages',
    'SampleDataset',
    'SampleInstances',
    'SamplePanoptic',
    'TarShards',
    'VOCDataset',
    'VolumeDataset',
    'XMLDataset',
]
