"""UAVid: street scenes seen obliquely from the air, https://arxiv.org/abs/1810.10438."""

from pathlib import Path
from typing import Any, ClassVar

from mmseg.datasets import BaseSegDataset

from denseformer.registry import DATASETS


@DATASETS.register_module()
class UAVidDataset(BaseSegDataset):
    """Frames and color masks as they are published: `seq<n>/Images/*.png` and `seq<n>/Labels/*.png` of a split.

    Args:
        options: of mmsegmentation's `BaseSegDataset`; `data_prefix` names the split's folder as `img_path` and as
            `seg_map_path`.
    """

    METAINFO: ClassVar[dict] = dict(
        classes=('Building', 'Road', 'Tree', 'LowVeg', 'Moving_Car', 'Static_Car', 'Human', 'Clutter'),
        palette=[
            *([128, 0, 0], [128, 64, 128], [0, 128, 0], [128, 128, 0]),
            *([64, 0, 128], [192, 0, 192], [64, 64, 0], [0, 0, 0]),
        ],
    )

    def __init__(self, **options: Any):
        super().__init__(img_suffix='.png', **options)

    def load_data_list(self) -> list[dict]:
        frames = [each for each in super().load_data_list() if Path(each['img_path']).parent.name == 'Images']
        colors = [(*color, label) for label, color in enumerate(self.METAINFO['palette'])]
        for frame in frames:
            path = Path(frame['img_path'])
            frame['label_colors'] = colors
            frame['seg_map_path'] = str(path.parents[1] / 'Labels' / path.name)
        return frames
