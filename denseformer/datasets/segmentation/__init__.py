"""Label maps of semantic segmentation."""

from denseformer.datasets.segmentation.label_maps import LoadSegmentation
from denseformer.datasets.segmentation.mask_list import MaskList

__all__ = ['LoadSegmentation', 'MaskList']
