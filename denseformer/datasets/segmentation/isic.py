"""ISIC 2018, task 1: the outlines of skin lesions, https://arxiv.org/abs/1902.03368."""

from typing import Any, ClassVar

from mmseg.datasets import BaseSegDataset

from denseformer.registry import DATASETS


@DATASETS.register_module()
class ISICDataset(BaseSegDataset):
    """Photographs `ISIC_*.jpg` and masks of 0 and 255 `ISIC_*_segmentation.png`, as published.

    options: of mmsegmentation's `BaseSegDataset`; `indices` takes a part of the images, in the order of their names.
    """

    METAINFO: ClassVar[dict] = dict(classes=('skin', 'lesion'), palette=[[0, 0, 0], [230, 160, 60]])

    def __init__(self, **options: Any):
        super().__init__(img_suffix='.jpg', seg_map_suffix='_segmentation.png', **options)

    def load_data_list(self) -> list[dict]:
        colors = [(0, 0, 0, 0), (255, 255, 255, 1)]
        return [{**row, 'label_colors': colors} for row in super().load_data_list()]
