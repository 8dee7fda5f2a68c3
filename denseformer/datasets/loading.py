"""Strict reading of images: anything suspicious raises an error that names the file."""

import numpy as np
from mmcv.transforms import BaseTransform

from denseformer.images.limits import MAX_PIXELS
from denseformer.images.reading import read_image
from denseformer.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read `img_path` as mmsegmentation's LoadImageFromFile does, strictly.

    Gray, palette, CMYK and transparent images, those of 16 bits and of fractions in [0, 1] all become `img`, (H, W, 3)
    uint8 in B, G, R order; `img_shape` and `ori_shape` are (H, W). It is the reader of prediction, with its limits.

    Args:
        apply_orientation: rotate and flip the image as its EXIF data asks. Label maps carry no EXIF data: where they
            were drawn on the image as it is stored, this must be off.
        max_pixels: the largest H x W that is decoded; looked up in the header before.
        to_float32: hand over float32, still in 0 .. 255.
        backend_args: for mmengine's file backends.

    Raises ValueError for a file that `images.reading.read_image` refuses: missing, empty, truncated, animated, no
    image, of another type or too large.
    """

    def __init__(
        self,
        *,
        apply_orientation: bool = True,
        max_pixels: int = MAX_PIXELS,
        to_float32: bool = False,
        backend_args: dict | None = None,
    ):
        self.apply_orientation = apply_orientation
        self.max_pixels = max_pixels
        self.to_float32 = to_float32
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        image = read_image(
            results['img_path'],
            apply_orientation=self.apply_orientation,
            max_pixels=self.max_pixels,
            backend_args=self.backend_args,
        ).as_bgr8()
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(apply_orientation={self.apply_orientation}, max_pixels={self.max_pixels}, '
            f'to_float32={self.to_float32}, backend_args={self.backend_args})'
        )
