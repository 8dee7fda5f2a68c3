"""Label maps of semantic segmentation, and datasets of a layout that mmsegmentation does not read."""

from denseformer.datasets.segmentation import listed_names
from denseformer.datasets.segmentation.label_maps import LoadSegmentation
from denseformer.datasets.segmentation.mask_list import MaskList
from denseformer.datasets.segmentation.uavid import UAVidDataset
from denseformer.datasets.segmentation.video_objects import LoadFlow, VideoObjects

__all__ = ['LoadFlow', 'LoadSegmentation', 'MaskList', 'UAVidDataset', 'VideoObjects', 'listed_names']
