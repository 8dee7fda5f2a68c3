"""Transforms that mmcv and mmseg lack."""

import mmcv
from mmcv.transforms import BaseTransform, Resize

from denseformer.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResizeImage(Resize):
    """Resize the image alone, keeping its shape, to fit in `scale` times `ratio`; label maps stay as they are.

    Scores are taken at the size of the labels, and published multi-scale results resize to multiples of a fixed scale,
    which mmcv's Resize cannot say (its scale_factor is relative to each image).

    Args:
        scale: (long side, short side) in pixels.
        ratio: factor for both.
        multiple: both sides are then stretched up to multiples of so many pixels, as much as each needs.
    """

    def __init__(self, scale: tuple[int, int], ratio: float = 1.0, multiple: int = 1):
        super().__init__(scale=tuple(int(side * ratio) for side in scale), keep_ratio=True)
        self.multiple = multiple

    def transform(self, results: dict) -> dict:
        results['scale'] = self.scale
        self._resize_img(results)
        height, width = results['img'].shape[:2]
        stretched = tuple(-(-side // self.multiple) * self.multiple for side in (width, height))
        if stretched != (width, height):
            results['img'] = mmcv.imresize(results['img'], stretched, interpolation=self.interpolation)
            results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class PadImage(BaseTransform):
    """Fill up an image with black on the right and below.

    `img_shape` stays that of the image, so that predictions leave the rest out.

    size: (width, height) in pixels, at least; larger sides stay as they are.
    """

    def __init__(self, size: tuple[int, int]):
        self.size = tuple(size)

    def transform(self, results: dict) -> dict:
        width, height = self.size
        results['img'] = mmcv.impad(results['img'], shape=(height, width))
        return results
