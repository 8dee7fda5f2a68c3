"""Boxes, masks and panoptic maps: datasets in the formats of COCO and Pascal VOC, and what loads their annotations."""

from denseformer.datasets.detection.coco import (
    ADE20KInstanceDataset,
    ADE20KPanopticDataset,
    CityscapesDataset,
    CityscapesPanopticDataset,
    CocoDataset,
    CocoPanopticDataset,
)
from denseformer.datasets.detection.copy_paste import CopyPaste
from denseformer.datasets.detection.fashionpedia import (
    AttributeDataset,
    FashionpediaDataset,
    LoadAttributes,
    PackAttributes,
)
from denseformer.datasets.detection.held_out import HeldOutDataset
from denseformer.datasets.detection.load_instances import LoadInstances
from denseformer.datasets.detection.load_panoptic import LoadPanoptic
from denseformer.datasets.detection.paste import PasteSegments
from denseformer.datasets.detection.voc import VOCDataset, XMLDataset

__all__ = [
    'ADE20KInstanceDataset',
    'ADE20KPanopticDataset',
    'AttributeDataset',
    'CityscapesDataset',
    'CityscapesPanopticDataset',
    'CocoDataset',
    'CocoPanopticDataset',
    'CopyPaste',
    'FashionpediaDataset',
    'HeldOutDataset',
    'LoadAttributes',
    'LoadInstances',
    'LoadPanoptic',
    'PackAttributes',
    'PasteSegments',
    'VOCDataset',
    'XMLDataset',
]
