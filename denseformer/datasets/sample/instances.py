"""The things of the sample set as mmdetection reads them."""

from collections.abc import Mapping
from typing import Any

from denseformer.datasets.detection.coco import CocoDataset
from denseformer.datasets.sample import PALETTE, THING_CLASSES, ensure_sample_set
from denseformer.registry import DATASETS


@DATASETS.register_module()
class SampleInstances(CocoDataset):
    """Boxes and polygons of the sample set, which is drawn into `data_root` when it is first asked for.

    Args:
        data_root: where the set is, or will be.
        ann_file, data_prefix: the annotations, and 'img', the images, below `data_root`; the training split's by
            default.
        train, val, size, seed: see `ensure_sample_set`.
        The others are described in `CocoDataset`.
    """

    METAINFO: dict = {'classes': THING_CLASSES, 'palette': list(PALETTE[: len(THING_CLASSES)])}  # noqa: RUF012
    makes_its_data = True  # nothing to look for before the set is built

    def __init__(
        self,
        *,
        data_root: str = 'data/sample',
        ann_file: str = 'instances_training.json',
        data_prefix: Mapping[str, str] | None = None,
        train: int = 240,
        val: int = 60,
        size: int = 160,
        seed: int = 0,
        **options: Any,
    ):
        self._parameters = {'train': train, 'val': val, 'size': size, 'seed': seed}
        images = dict(data_prefix or {'img': 'images/training'})
        super().__init__(data_root=data_root, ann_file=ann_file, data_prefix=images, **options)

    def load_data_list(self) -> list[dict]:
        ensure_sample_set(self.data_root, **self._parameters)
        return super().load_data_list()
