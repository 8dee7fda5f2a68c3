"""Label maps of semantic segmentation, and datasets of a layout that mmsegmentation does not read."""

from denseformer.datasets.segmentation import listed_names
from denseformer.datasets.segmentation.faces import CelebAMaskHQDataset, LaPaDataset, MergedCelebAMaskHQDataset
from denseformer.datasets.segmentation.isic import ISICDataset
from denseformer.datasets.segmentation.label_maps import LoadSegmentation
from denseformer.datasets.segmentation.mask_list import MaskList
from denseformer.datasets.segmentation.uavid import UAVidDataset
from denseformer.datasets.segmentation.video_objects import LoadFlow, VideoObjects
from denseformer.datasets.segmentation.volumes import ACDCDataset, LoadImageSlice, LoadLabelSlice, VolumeDataset

__all__ = [
    'ACDCDataset',
    'CelebAMaskHQDataset',
    'ISICDataset',
    'LaPaDataset',
    'LoadFlow',
    'LoadImageSlice',
    'LoadLabelSlice',
    'LoadSegmentation',
    'MaskList',
    'MergedCelebAMaskHQDataset',
    'UAVidDataset',
    'VideoObjects',
    'VolumeDataset',
    'listed_names',
]
