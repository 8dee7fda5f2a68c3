"""Holes for inpainting: free-form strokes, as somebody who wipes something out would draw them."""

import zlib
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from denseformer.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FreeFormMask(BaseTransform):
    """Make `mask`, (H, W, 1) uint8, 1 where the image is known and 0 in its holes, and `img`, black in its holes.

    Each stroke is a chain of straight pieces with round ends, each in a direction of its own. The defaults are PEPSI's.

    Args:
        strokes, pieces: fewest and most strokes, and pieces of a stroke.
        length, width: smallest and largest, of a piece, as shares of the image's shorter side.
        fixed: the same mask for an image whenever it is read, for testing: drawn from the name of its file.
    """

    def __init__(
        self,
        *,
        strokes: tuple[int, int] = (3, 5),
        pieces: tuple[int, int] = (5, 15),
        length: tuple[float, float] = (20 / 256, 50 / 256),
        width: tuple[float, float] = (15 / 256, 30 / 256),
        fixed: bool = False,
    ):
        self.strokes = strokes
        self.pieces = pieces
        self.length = length
        self.width = width
        self.fixed = fixed

    def transform(self, results: dict) -> dict:
        image = results['gt_img']
        name = Path(results['gt_path']).stem
        generator = np.random.default_rng(zlib.crc32(name.encode()) if self.fixed else np.random.randint(2**31))
        holes = np.zeros(image.shape[:2], np.uint8)
        for _ in range(generator.integers(*self.strokes, endpoint=True)):
            self.draw(holes, generator)
        results['mask'] = (1 - holes)[..., None]
        results['img'] = image * results['mask'].astype(image.dtype)
        return results

    def draw(self, holes: np.ndarray, generator: np.random.Generator) -> None:
        """Draw one stroke into `holes`, (H, W)."""
        height, width = holes.shape
        side = min(height, width)
        point = generator.uniform((0, 0), (width, height))
        thickness = max(1, round(side * generator.uniform(*self.width)))
        for _ in range(generator.integers(*self.pieces, endpoint=True)):
            angle = generator.uniform(-np.pi, np.pi)
            step = side * generator.uniform(*self.length) * np.array([np.cos(angle), np.sin(angle)])
            end = np.clip(point + step, 0, (width - 1, height - 1))
            cv2.line(holes, tuple(map(int, point)), tuple(map(int, end)), 1, thickness)
            cv2.circle(holes, tuple(map(int, end)), thickness // 2, 1, -1)
            point = end
