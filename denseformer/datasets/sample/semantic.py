"""The sample set as mmsegmentation reads it."""

from collections.abc import Mapping
from typing import Any

from mmseg.datasets import BaseSegDataset

from denseformer.datasets.sample import CLASSES, PALETTE, ensure_sample_set
from denseformer.registry import DATASETS

TRAINING = {'img_path': 'images/training', 'seg_map_path': 'annotations/training'}


@DATASETS.register_module()
class SampleDataset(BaseSegDataset):
    """Semantic labels of the sample set, which is drawn into `data_root` when it is first asked for.

    Args:
        data_root: where the set is, or will be.
        data_prefix: 'img_path' and 'seg_map_path' below `data_root`; those of the training split by default.
        train, val, size, seed: see `ensure_sample_set`.
        The others are described in mmsegmentation's `BaseSegDataset`.
    """

    METAINFO: dict = {'classes': CLASSES, 'palette': [list(color) for color in PALETTE]}  # noqa: RUF012
    makes_its_data = True  # nothing to look for before the set is built

    def __init__(
        self,
        *,
        data_root: str = 'data/sample',
        data_prefix: Mapping[str, str] = TRAINING,
        train: int = 240,
        val: int = 60,
        size: int = 160,
        seed: int = 0,
        img_suffix: str = '.jpg',
        seg_map_suffix: str = '.png',
        **options: Any,
    ):
        self._parameters = {'train': train, 'val': val, 'size': size, 'seed': seed}
        super().__init__(
            data_root=data_root,
            data_prefix=dict(data_prefix),
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            **options,
        )

    def load_data_list(self) -> list[dict]:
        ensure_sample_set(self.data_root, **self._parameters)
        return super().load_data_list()
