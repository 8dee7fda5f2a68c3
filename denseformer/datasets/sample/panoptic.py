"""Things and stuff of the sample set as mmdetection reads them."""

from collections.abc import Mapping
from typing import Any

from denseformer.datasets.detection.coco import CocoPanopticDataset
from denseformer.datasets.sample import PALETTE, STUFF_CLASSES, THING_CLASSES, ensure_sample_set
from denseformer.registry import DATASETS


@DATASETS.register_module()
class SamplePanoptic(CocoPanopticDataset):
    """Things and stuff of the sample set, which is drawn into `data_root` when it is first asked for.

    Args:
        data_root: where the set is, or will be.
        ann_file, data_prefix: the annotations, and 'img' and 'seg', the images and the panoptic maps, below
            `data_root`.
        train, val, size, seed: see `ensure_sample_set`.
        The others are described in mmdetection's `CocoPanopticDataset`.
    """

    METAINFO: dict = {  # noqa: RUF012
        'classes': (*THING_CLASSES, *STUFF_CLASSES),
        'thing_classes': THING_CLASSES,
        'stuff_classes': STUFF_CLASSES,
        'palette': list(PALETTE),
    }
    makes_its_data = True  # nothing to look for before the set is built

    def __init__(
        self,
        *,
        data_root: str,
        ann_file: str,
        data_prefix: Mapping[str, str],
        train: int = 240,
        val: int = 60,
        size: int = 160,
        seed: int = 0,
        **options: Any,
    ):
        self._parameters = {'train': train, 'val': val, 'size': size, 'seed': seed}
        super().__init__(data_root=data_root, ann_file=ann_file, data_prefix=dict(data_prefix), **options)

    def load_data_list(self) -> list[dict]:
        ensure_sample_set(self.data_root, **self._parameters)
        return super().load_data_list()
