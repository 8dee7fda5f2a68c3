"""Images and masks of any names, paired in a text file, whose values stand for classes as the dataset says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset

from denseformer.images.reading import read_bytes
from denseformer.registry import DATASETS


@DATASETS.register_module()
class MaskList(BaseSegDataset):
    """Images and label maps listed in a text file; `LoadSegmentation` reads them.

    A line holds the path of an image and that of its label map below `data_root`, with a tab between them. Where each
    class has a file of its own, a line holds several, each as INDEX=PATH; what is not 0 in it belongs to the class, the
    later file wins, and what belongs to none is class 0.

    Args:
        ann_file: the text file.
        values: stored value -> class of label maps that do not hold the classes; 255 where it does not count.
        colors: [(red, green, blue, class), ...] of label maps in colors.
        The others are described in mmsegmentation's `BaseSegDataset`.

    Raises ValueError for a line without label map.
    """

    def __init__(
        self,
        *,
        ann_file: str,
        values: Mapping[int, int] | None = None,
        colors: Sequence[tuple[int, int, int, int]] = (),
        **options: Any,
    ):
        self.values = {int(stored): int(label) for stored, label in (values or {}).items()}
        self.colors = [tuple(row) for row in colors]
        super().__init__(ann_file=ann_file, **options)

    def load_data_list(self) -> list[dict]:
        lines = read_bytes(self.ann_file, 'list of masks').decode().splitlines()
        return [self._info(number, line) for number, line in enumerate(lines, 1) if line.strip()]

    def _info(self, number: int, line: str) -> dict:
        image, *masks = line.split('\t')
        if not masks:
            raise ValueError(f"'{self.ann_file}', line {number}: there is no mask after the image and a tab.")
        root = Path(self.data_root or '')
        info: dict[str, Any] = {
            'img_path': str(root / image),
            'label_map': self.values,
            'reduce_zero_label': False,
            'seg_fields': [],
        }
        info['equal_channels'] = True
        if self.colors:
            info['label_colors'] = self.colors
        if '=' in masks[0] and masks[0].partition('=')[0].isdigit():
            parts = [mask.partition('=') for mask in masks]
            info['class_masks'] = [(int(label), str(root / path)) for label, _, path in parts]
            return {**info, 'seg_map_path': info['class_masks'][0][1]}
        return {**info, 'seg_map_path': str(root / masks[0])}
