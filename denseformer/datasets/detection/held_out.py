"""One COCO json file for training and validation both."""

from typing import Any

from denseformer.datasets.detection.coco import CocoDataset
from denseformer.registry import DATASETS


@DATASETS.register_module()
class HeldOutDataset(CocoDataset):
    """The images of one COCO json file, of which every n-th by file name, from the first on, is held out.

    Args:
        held_out: whether these are the images that are held out, or the others.
        every: 5 holds out a fifth.
        The others are described in `CocoDataset`.
    """

    def __init__(self, *, held_out: bool, every: int = 5, **options: Any):
        if every < 2:
            raise ValueError(f'every={every} leaves nothing to train on; hold out every second image or fewer.')
        self.held_out = held_out
        self.every = every
        super().__init__(**options)

    def load_data_list(self) -> list[dict]:
        by_name = sorted(super().load_data_list(), key=lambda info: info['img_path'])
        return [info for place, info in enumerate(by_name) if (place % self.every == 0) == self.held_out]
