"""The hook that writes the restored images of a test as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from PIL import Image
from torch import Tensor

from denseformer.registry import HOOKS


@HOOKS.register_module()
class RestoredImagesHook(Hook):
    """Write each restored image of a test as a png file of 8 bits, called like the image it was made from.

    Args:
        folder: where to; made where it does not exist. Images of one name are numbered.

    Raises ValueError for images that are neither gray nor RGB.
    """

    def __init__(self, *, folder: str):
        self.folder = Path(folder)
        self.written: set[Path] = set()

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for sample in outputs or ():
            source = Path(sample.get('img_path') or sample.gt_path)
            path, n = self.folder / f'{source.stem}.png', 1
            while path in self.written:
                n += 1
                path = self.folder / f'{source.stem}_{n}.png'
            self.written.add(path)
            as_image(sample.pred_img).save(path)


def as_image(restored: Tensor) -> Image.Image:
    """(C, H, W) around [0, 1], gray or RGB."""
    if len(restored) not in (1, 3):
        raise ValueError(f'Images of {len(restored)} channels cannot be drawn: leave out --show-dir.')
    array = restored.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array[..., 0] if len(restored) == 1 else array)
