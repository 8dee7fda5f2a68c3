"""What the tasks share: how they are to run, what is read for them, and how an image goes through a network.

Legend: H W image, C channels, K channels of the prediction.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from denseformer.datasets.loading import MAX_PIXELS
from denseformer.images.formats import checked_suffix
from denseformer.images.rasterio_tiff import open_windows
from denseformer.images.reading import Picture, read_picture
from denseformer.images.tiffs import Layout, WindowedTiff, geography_of, size_of
from denseformer.inference.memory import OutOfMemoryRetry, side_that_fits
from denseformer.inference.results import Result
from denseformer.inference.sources import Item
from denseformer.inference.tiling import Block, Network, Reader, Tiling, predict_blocks

UNMEASURED = 1 << 20
"""Images of up to so many pixels are tried whole before the free memory is asked for."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to predict, for any task.

    amp: under bfloat16 autocast; tile: the side of the windows that larger images are cut into, None for what the free
    memory allows; overlap: of neighbouring windows, None for what the network needs; batch_size: how many images or
    windows of one size go through the network together, None for what the free memory allows; native: at the image's
    own size, whatever the config resizes to; augment: predict on mirrored or turned copies too, and average;
    probabilities: keep them for each class; score: the least of an instance that is kept; classes: the names of those
    to find, all when there are none (detection); max_pixels: the largest image that is decoded; suffix: what restored
    images are written as, None for the format of their source.
    """

    device: torch.device = field(default_factory=lambda: torch.device('cpu'))
    amp: bool = False
    tile: int | None = None
    overlap: int | None = None
    batch_size: int | None = 1
    native: bool = False
    augment: bool = False
    probabilities: bool = False
    score: float = 0.3
    classes: Sequence[str] = ()
    max_pixels: int = MAX_PIXELS
    suffix: str | None = None

    def __post_init__(self):
        sizes = (self.batch_size, self.tile, self.max_pixels)
        if any(size is not None and size < 1 for size in sizes) or (self.overlap or 0) < 0:
            raise ValueError('batch_size, tile and max_pixels must be at least 1, and overlap not negative.')
        if self.suffix is not None:
            checked_suffix(self.suffix)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image that is ready for the network, or a file that is read while it is predicted.

    picture: as read; inputs: what the task made of it; window: the file, in place of both, that is too large to be
    read whole; geography: what places it on the earth. Images with the same `group` may go through together.
    """

    item: Item
    picture: Picture | None = None
    inputs: Any = None
    group: Any = None
    window: WindowedTiff | None = None
    geography: list = field(default_factory=list)

    @property
    def name(self) -> PurePosixPath:
        return self.item.name

    @property
    def streamed(self) -> bool:
        """Whether the file, one too large or a video, is read bit by bit."""
        return self.window is not None or self.item.is_video

    @property
    def source(self) -> Picture:
        """The picture of an item that was read whole."""
        assert self.picture is not None
        return self.picture


class Task(ABC):
    """Images to results; a subclass sets `scale` of its output and says what happens between them."""

    scale = 1
    resizes = True
    """Whether a config may ask for images of another size, unless `native` forbids it."""

    def __init__(self, settings: Settings):
        self.settings = settings

    def prepare(self, item: Item) -> Prepared:
        """Read an item; this needs no network and may run beside it. Raises ValueError naming a file it cannot read."""
        if item.is_video:
            return Prepared(item=item)
        geography = []
        if item.path is not None and item.path.suffix.lower() in ('.tif', '.tiff'):
            if self.settings.native or not self.resizes:
                window = too_large(item, self.settings.max_pixels)
                if window is not None:
                    return Prepared(item=item, window=window, geography=window.geography(self.scale))
            geography = self._geography(item)
        picture = item.picture or read_picture(item.file, page=item.page, max_pixels=self.settings.max_pixels)
        inputs, group = self.inputs_of(picture, item.name)
        return Prepared(item=item, picture=picture, inputs=inputs, group=group, geography=geography)

    def _geography(self, item: Item) -> list:
        try:
            return geography_of(item.file, item.page or 0, self.scale)
        except Exception as error:  # tifffile raises many kinds for a damaged file
            raise ValueError(f"'{item.path}' cannot be read as a TIFF file: {error}") from error

    @abstractmethod
    def inputs_of(self, picture: Picture, name: PurePosixPath) -> tuple[Any, Any]:
        """What the network is given for a picture, and what it must share with others to be predicted beside them."""

    @abstractmethod
    def batch_size(self, prepared: Prepared) -> int:
        """How many images like this one go through the network together."""

    @abstractmethod
    def predict(self, batch: Sequence[Prepared]) -> list[Result]:
        """Predict on images of one group."""

    def whole_run(self, root: Path, record: Mapping[str, dict[str, Any]]) -> dict[str, Callable[[Path], None]]:
        """Files that a run in the folder `root` has one of, by name, and what writes each; record: as `entries`."""
        return {}

    def bands(self, prepared: Prepared) -> Iterator[np.ndarray]:
        """The prediction for a file that is read in windows, from top to bottom."""
        raise ValueError(f"'{prepared.item.path}' is too large: raise max_pixels, this task reads images whole.")

    def layout(self, prepared: Prepared) -> Layout:
        """The file that `bands` make up."""
        raise ValueError(f"'{prepared.item.path}' is too large: raise max_pixels, this task reads images whole.")


def too_large(item: Item, max_pixels: int) -> WindowedTiff | None:
    """The file, opened for reading in windows, when it has more than `max_pixels`."""
    H, W = size_of(item.file, item.page or 0)
    return open_windows(item.file, item.page or 0) if max_pixels < H * W else None


class Windows:
    """Takes images of any size through a network: whole where they fit, in windows where they do not.

    Args:
        network: (B, C, H, W) -> (B, K, scale * H, scale * W).
        settings: its tile, overlap and batch_size count.
        overlap: of neighbouring windows, when the settings name none.
        multiple: what windows start at multiples of.
        padding: what windows are reflected up to multiples of, before they are given to the network.
        scale: of the output.
    """

    def __init__(
        self, network: Network, settings: Settings, *, overlap: int, multiple: int, padding: int = 1, scale: int = 1
    ):
        overlap = overlap if settings.overlap is None else settings.overlap
        margin = overlap * 2 // 5
        self.settings = settings
        any_size = Tiling(1 << 30, margin, overlap - 2 * margin, multiple, padding)
        self.tiling = replace(any_size, size=settings.tile or max(512, any_size.smallest))
        self.elastic = OutOfMemoryRetry(network, self.tiling, scale)
        self.fits: int | None = settings.tile**2 if settings.tile else None

    def blocks(self, read: Reader, size: tuple[int, int]) -> Iterator[Block]:
        """The prediction for an image (H, W) in blocks, from top to bottom."""
        H, W = size
        self._measure(read, size)
        whole = (self.fits or UNMEASURED) >= H * W and (not self.settings.tile or max(size) <= self.settings.tile)
        tiling = replace(self.tiling, size=max(*size, self.tiling.smallest)) if whole else self.tiling
        batch_size = 1 if whole or not self.settings.batch_size else self.settings.batch_size
        return predict_blocks(self.elastic, read, size, tiling, scale=self.elastic.scale, batch_size=batch_size)

    def _measure(self, read: Reader, size: tuple[int, int]) -> None:
        """Find out once, for the first large image, how much of one fits into memory."""
        if self.fits is not None or size[0] * size[1] <= UNMEASURED:
            return
        self._probe(read, size)

    def how_many(self, read: Reader, size: tuple[int, int]) -> int:
        """How many images (H, W) go through together: as the settings say, or up to 16 that have room."""
        if self.settings.batch_size:
            return self.settings.batch_size
        fits = self._probe(read, size) if self.fits is None else self.fits
        return max(1, min(16, fits // (size[0] * size[1])))

    def _probe(self, read: Reader, size: tuple[int, int]) -> int:
        probe = read(slice(0, min(256, size[0])), slice(0, min(256, size[1])))[None]
        side = side_that_fits(self.elastic, probe.to(self.settings.device), self.settings.device)
        self.fits = max(side, self.tiling.smallest) ** 2
        multiple = self.tiling.multiple
        side = max(self.tiling.smallest, min(side // max(1, round((self.settings.batch_size or 1) ** 0.5)), 2048))
        self.tiling = replace(self.tiling, size=max(self.tiling.smallest, side // multiple * multiple))
        return self.fits
