"""Label maps of semantic segmentation."""

from denseformer.datasets.segmentation.label_maps import LoadSegmentation

__all__ = ['LoadSegmentation']
