"""Data sets and transforms that mmsegmentation and mmdetection lack."""

from denseformer.datasets.albumentations import Albumentations
from denseformer.datasets.detection.coco import (
    ADE20KInstanceDataset,
    ADE20KPanopticDataset,
    CityscapesDataset,
    CityscapesPanopticDataset,
    CocoDataset,
    CocoPanopticDataset,
)
from denseformer.datasets.detection.load_instances import LoadInstances
from denseformer.datasets.detection.panoptic import LoadPanoptic, SamplePanoptic
from denseformer.datasets.detection.voc import VOCDataset, XMLDataset
from denseformer.datasets.loading import LoadImage, LoadSegmentation
from denseformer.datasets.restoration.bsrgan import BSRGANDegradation
from denseformer.datasets.restoration.cubes import LoadCube
from denseformer.datasets.restoration.degradations import AddGaussianNoise, AddPoissonNoise, Blur, CompressJPEG
from denseformer.datasets.restoration.image_folders import RestorationImages
from denseformer.datasets.restoration.realesrgan import RealWorldDegradation
from denseformer.datasets.restoration.transforms import (
    BicubicDownsample,
    LoadImagePair,
    PackRestoration,
    PairedRandomCrop,
    RandomOrientation,
)
from denseformer.datasets.sample.dataset import SampleDataset
from denseformer.datasets.sample.instances import SampleInstances
from denseformer.datasets.segmentation.held_out import HeldOutDataset
from denseformer.datasets.segmentation.masks import FreeFormMask
from denseformer.datasets.transforms import ResizeImage

__all__ = [
    'ADE20KInstanceDataset',
    'ADE20KPanopticDataset',
    'AddGaussianNoise',
    'AddPoissonNoise',
    'Albumentations',
    'BSRGANDegradation',
    'BicubicDownsample',
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
    'LoadImagePair',
    'LoadInstances',
    'LoadPanoptic',
    'LoadSegmentation',
    'PackRestoration',
    'PairedRandomCrop',
    'RandomOrientation',
    'RealWorldDegradation',
    'ResizeImage',
    'RestorationImages',
    'SampleDataset',
    'SampleInstances',
    'SamplePanoptic',
    'VOCDataset',
    'XMLDataset',
]
