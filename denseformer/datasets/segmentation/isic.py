"""ISIC: photographs of moles with the outline of the lesion, https://arxiv.org/abs/1902.03368."""

from typing import Any, ClassVar

from mmseg.datasets import BaseSegDataset

from denseformer.registry import DATASETS


@DATASETS.register_module()
class ISICDataset(BaseSegDataset):
    """Images `*.jpg` and masks `*_segmentation.png` of 0 and 255, as they are published.

    Args:
        options: of mmsegmentation's `BaseSegDataset`; `data_prefix` names both folders, `indices` takes a part.
    """

    METAINFO: ClassVar[dict] = dict(classes=('skin', 'lesion'))

    def __init__(self, **options: Any):
        super().__init__(img_suffix='.jpg', seg_map_suffix='_segmentation.png', **options)

    def load_data_list(self) -> list[dict]:
        return [{**info, 'label_map': {255: 1}} for info in super().load_data_list()]
