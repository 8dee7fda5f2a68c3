"""What a prediction is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from denseformer.inference.drawing import overlay

Colour = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """The classes of an image's pixels.

    name: where the image stands below its source; image: (H, W, 3) uint8, R, G, B; mask: (H, W) uint8, or uint16 with
    more than 256 classes, indices into `classes`; palette: a colour (R, G, B) per class.
    """

    name: PurePosixPath
    image: np.ndarray
    mask: np.ndarray
    classes: Sequence[str]
    palette: Sequence[Colour]

    @property
    def shares(self) -> dict[str, float]:
        """The share of the image's pixels of each class that occurs, the largest first."""
        counts = np.bincount(self.mask.ravel(), minlength=len(self.classes))
        order = np.argsort(-counts, kind='stable')
        return {self.classes[i]: round(counts[i] / self.mask.size, 4) for i in order if counts[i]}

    def plot(self, opacity: float = 0.6) -> Image.Image:
        """The image with its classes in colour and a legend of those that occur."""
        return overlay(self.image, self.mask, self.classes, self.palette, opacity)

    def save(self, path: str | Path) -> None:
        """Write the mask: a palette png of 8 bits, or a grey one of 16 bits with more than 256 classes."""
        image = Image.fromarray(self.mask)
        if self.mask.dtype == np.uint8:
            image.putpalette([channel for colour in self.palette for channel in colour])
        image.save(path, format='PNG')

    def to_supervision(self) -> Any:
        """`supervision.Detections` with one mask (H, W) per class that occurs; needs the package supervision."""
        import supervision

        present = np.unique(self.mask)
        masks = self.mask[None] == present[:, None, None]
        return supervision.Detections(
            xyxy=supervision.mask_to_xyxy(masks), mask=masks, class_id=present.astype(int),
            data={'class_name': np.array([self.classes[i] for i in present])},
        )  # fmt: skip
