"""The limit on the size of images, the same in training and in prediction."""

from pathlib import Path

MAX_PIXELS = 178_956_970
"""The largest H x W that is decoded by default: half a gigabyte as 8-bit color."""


class TooLargeError(ValueError):
    """An image of more pixels than are decoded."""


def check_pixels(path: str | Path, pixels: int | None, max_pixels: int = MAX_PIXELS) -> None:
    """Raise TooLargeError for an image that is too large to be decoded; None is an unknown size."""
    if pixels is not None and pixels > max_pixels:
        raise TooLargeError(
            f"'{path}' has {pixels} pixels, more than max_pixels={max_pixels}. Raise max_pixels where the memory is "
            'there, cut the image into tiles, or predict a TIFF file tile by tile with --native.'
        )
