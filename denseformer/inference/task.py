"""The base of the tasks: reading an item, taking an image of any size through a network, names of classes.

Legend: B batch, H W image, C channels, K channels of the prediction.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from denseformer.config.audit import metainfo
from denseformer.export import Exportable
from denseformer.images.drawing import Color, spread_colors
from denseformer.images.picture import Picture
from denseformer.images.rasterio_tiff import open_tiff
from denseformer.images.reading import decode_image, read_image
from denseformer.images.tiffs import Layout, TiffReader, read_geo_tags, size_of
from denseformer.inference.memory import OutOfMemoryRetry, side_that_fits
from denseformer.inference.results import Result
from denseformer.inference.sources import SourceItem, is_tiff
from denseformer.inference.tiling import Network, Reader, Tile, Tiling, predict_tiles
from denseformer.options import PredictionOptions
from denseformer.storage import is_local, read_bytes

PIXELS_TRIED_WHOLE = 1 << 20
"""Images of up to so many pixels are predicted whole before the free memory is measured."""
LOADERS = ('LoadImage', 'LoadFlow', 'LoadSegmentation', 'LoadAnnotations', 'LoadImageFromFile')
TOO_SMALL = (
    "Kernel size can't be greater than actual input size",
    'Output size is too small',
    'selected index k out of range',
)
"""Parts of PyTorch's messages about maps in which a convolution, a pooling or all queries find no place."""
RESIZERS = ('Resize', 'ResizeImage', 'ResizeShortestEdge', 'ResizeToMultiple')


@dataclass(frozen=True, kw_only=True)
class PreparedItem:
    """An image that is ready for the network, or a file that is read while it is predicted.

    picture: the image as read; inputs: the picture as the task prepared it for the network; tiff: in place of both, a
    file too large to be read whole; geo_tags: its georeference. Images of the same `group` may share a batch.
    """

    item: SourceItem
    picture: Picture | None = None
    inputs: Any = None
    group: Any = None
    tiff: TiffReader | None = None
    geo_tags: list = field(default_factory=list)

    @property
    def name(self) -> PurePosixPath:
        return self.item.name

    @property
    def streamed(self) -> bool:
        """Whether the file, a large TIFF file or a video, is read part by part."""
        return self.tiff is not None or self.item.is_video or self.item.is_volume

    @property
    def source(self) -> Picture:
        """The picture of an item that was read whole."""
        assert self.picture is not None
        return self.picture


class Task(ABC):
    """From images to results; a subclass sets the `scale` of its output and fills in the steps between them."""

    scale = 1
    resizes = True
    """Whether a config may ask for images of another size, unless `native` forbids it."""

    def __init__(self, settings: PredictionOptions):
        self.settings = settings
        self.device = torch.device(settings.device)

    @contextmanager
    def running(self) -> Iterator[None]:
        """The context that the network runs in: bfloat16 with `amp`, else the precision of its weights.

        Raises ValueError for an image that is too small for it.
        """
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.amp):
                yield
        except RuntimeError as error:
            if not any(said in str(error) for said in TOO_SMALL):
                raise
            raise ValueError(
                'The image is too small for the network: its patches, coarser maps or queries find no place in it. '
                f'Enlarge the image, or predict at the size of the config, without native. PyTorch says: {error}'
            ) from error

    def prepare(self, item: SourceItem) -> PreparedItem:
        """Read an item; this needs no network and may run beside it. Raises ValueError naming a file it cannot read."""
        if item.is_video or item.is_volume:
            return PreparedItem(item=item)
        geo_tags: list = []
        if item.content is not None or (item.path is not None and not is_local(item.path)):
            content = stored_content(item)
            picture = decode_image(place_of(item), content, page=item.page, max_pixels=self.settings.max_pixels)
            geo_tags = self._geo_tags(item, BytesIO(content)) if is_tiff(item.name) else []
            inputs, group = self.inputs_of(picture, item.name)
            return PreparedItem(item=item, picture=picture, inputs=inputs, group=group, geo_tags=geo_tags)
        if item.path is not None and is_tiff(PurePosixPath(item.path)):
            if self.settings.native or not self.resizes:
                tiff = open_if_large(item, self.settings.max_pixels)
                if tiff is not None:
                    return PreparedItem(item=item, tiff=tiff, geo_tags=tiff.geo_tags(self.scale))
            geo_tags = self._geo_tags(item, item.path)
        picture = item.picture or read_image(item.file, page=item.page, max_pixels=self.settings.max_pixels)
        inputs, group = self.inputs_of(picture, item.name)
        return PreparedItem(item=item, picture=picture, inputs=inputs, group=group, geo_tags=geo_tags)

    def _geo_tags(self, item: SourceItem, file: Path | BinaryIO) -> list:
        try:
            return read_geo_tags(file, item.page or 0, self.scale)
        except Exception as error:  # tifffile raises many kinds for a damaged file
            raise ValueError(f"'{place_of(item)}' cannot be read as a TIFF file: {error}") from error

    @abstractmethod
    def inputs_of(self, picture: Picture, name: PurePosixPath) -> tuple[Any, Any]:
        """The network's inputs for a picture, and the group of those that may share a batch with them."""

    @abstractmethod
    def batch_size(self, prepared: PreparedItem) -> int:
        """The number of images like this one that share a batch."""

    @abstractmethod
    def predict(self, batch: Sequence[PreparedItem]) -> list[Result]:
        """Predict on images of one group."""

    def exportable(self) -> Exportable:
        """The model for `denseformer.export`; raises ValueError for one that cannot be exported."""
        raise ValueError(f'{type(self).__name__} cannot be exported; segmentation and restoration models can be.')

    def facts(self) -> dict[str, Any]:
        """The facts that the files about a whole run need: `classes` and `palette`, where the task has any."""
        return {name: list(getattr(self, name)) for name in ('classes', 'palette') if hasattr(self, name)}

    def bands(self, prepared: PreparedItem) -> Iterator[np.ndarray]:
        """The prediction for a file that is read region by region: bands from top to bottom."""
        raise ValueError(f"'{prepared.item.path}' is too large: raise max_pixels, this task reads images whole.")

    def layout(self, prepared: PreparedItem) -> Layout:
        """The file that `bands` make up."""
        raise ValueError(f"'{prepared.item.path}' is too large: raise max_pixels, this task reads images whole.")


def stored_content(item: SourceItem) -> bytes:
    """The content of a file in an archive, or not on this machine; raises ValueError where it cannot be read."""
    if item.content is not None:
        return item.content
    try:
        return read_bytes(item.file)
    except Exception as error:  # each store has errors of its own
        raise ValueError(f"'{place_of(item)}' cannot be read: {error or type(error).__name__}.") from error


def place_of(item: SourceItem) -> str:
    """The name of an item in messages: its path, or its name in an archive."""
    return str(item.path or item.name)


def open_if_large(item: SourceItem, max_pixels: int) -> TiffReader | None:
    """The item's TIFF file, opened for reading region by region, where it has more than `max_pixels`."""
    H, W = size_of(item.file, item.page or 0)
    return open_tiff(item.file, item.page or 0) if max_pixels < H * W else None


class TiledNetwork:
    """Takes images of any size through a network: whole where they fit, in tiles where they do not.

    Args:
        network: (B, C, H, W) -> (B, K, scale * H, scale * W).
        settings: its tile, overlap and batch_size count.
        overlap: of neighboring tiles, when the settings name none.
        multiple: tiles start at multiples of it.
        padding: the network is given tiles that are reflected up to multiples of it.
        scale: of the output.
    """

    def __init__(
        self,
        network: Network,
        settings: PredictionOptions,
        *,
        overlap: int,
        multiple: int,
        padding: int = 1,
        scale: int = 1,
    ):
        overlap = overlap if settings.overlap is None else settings.overlap
        margin = overlap * 2 // 5
        self.settings = settings
        whole = Tiling(1 << 30, margin, overlap - 2 * margin, multiple, padding)
        self.tiling = replace(whole, size=settings.tile or max(512, whole.smallest))
        self.network = OutOfMemoryRetry(network, self.tiling, scale)
        self.pixels_that_fit: int | None = settings.tile**2 if settings.tile else None

    def tiles(self, read: Reader, size: tuple[int, int]) -> Iterator[Tile]:
        """The prediction for an image (H, W) in tiles, from top to bottom."""
        H, W = size
        if self.pixels_that_fit is None and H * W > PIXELS_TRIED_WHOLE:
            self._measure(read, size)
        whole = (self.pixels_that_fit or PIXELS_TRIED_WHOLE) >= H * W and (
            not self.settings.tile or max(size) <= self.settings.tile
        )
        tiling = replace(self.tiling, size=max(*size, self.tiling.smallest)) if whole else self.tiling
        batch_size = 1 if whole or not self.settings.batch_size else self.settings.batch_size
        return predict_tiles(self.network, read, size, tiling, scale=self.network.scale, batch_size=batch_size)

    def batch_size(self, read: Reader, size: tuple[int, int]) -> int:
        """The number of images (H, W) in a batch: that of the settings, or up to 16 that fit into memory."""
        if self.settings.batch_size:
            return self.settings.batch_size
        pixels = self._measure(read, size) if self.pixels_that_fit is None else self.pixels_that_fit
        return max(1, min(16, pixels // (size[0] * size[1])))

    def _measure(self, read: Reader, size: tuple[int, int]) -> int:
        """The pixels of an image that fit into memory, measured once on a corner of an image."""
        probe = read(slice(0, min(256, size[0])), slice(0, min(256, size[1])))[None]
        device = torch.device(self.settings.device)
        side = side_that_fits(self.network, probe.to(device), device)
        self.pixels_that_fit = max(side, self.tiling.smallest) ** 2
        multiple = self.tiling.multiple
        side = max(self.tiling.smallest, min(side // max(1, round((self.settings.batch_size or 1) ** 0.5)), 2048))
        self.tiling = replace(self.tiling, size=max(self.tiling.smallest, side // multiple * multiple))
        return self.pixels_that_fit


def facts_for_export(config: Config, classes: Sequence[str], palette: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Facts of the config for an exported file: classes, their colors, the steps before the network, their registry."""
    return {
        'classes': list(classes),
        'palette': [list(color) for color in palette],
        'pipeline': [dict(step) for step in steps_after_loading(config)],
        'scope': config.get('default_scope') or 'mmengine',
    }


def steps_after_loading(config: Config) -> list[dict[str, Any]]:
    """The test pipeline without the steps that read images and labels."""
    return after_loading(config.get('test_pipeline') or config.test_dataloader.dataset.pipeline)


def after_loading(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps of a pipeline that do not read images and labels."""
    return [step for step in steps if kind_of(step) not in LOADERS]


def kind_of(step: Mapping[str, Any]) -> str:
    """The type of a pipeline's step, without its scope."""
    return step['type'].rpartition('.')[2]


def prediction_steps(config: Config, *, native: bool) -> list[dict[str, Any]]:
    """The test pipeline after loading; native: without the steps that resize."""
    return [step for step in steps_after_loading(config) if not (native and kind_of(step) in RESIZERS)]


def prediction_pipeline(config: Config, *, native: bool) -> Compose:
    """The test pipeline after loading, built; native: without the steps that resize."""
    init_default_scope(config.get('default_scope') or 'mmengine')
    return Compose(prediction_steps(config, native=native))


def class_names(config: Config) -> tuple[tuple[str, ...], tuple[Color, ...]]:
    """The test dataset's class names and colors; the colors are spread over the hues where it has none."""
    init_default_scope(config.get('default_scope') or 'mmengine')
    classes, palette = metainfo(config.test_dataloader.dataset)
    classes = tuple(classes or (f'class {i}' for i in range(config.num_classes)))
    colors = palette or spread_colors(len(classes))
    return classes, tuple((int(r), int(g), int(b)) for r, g, b in colors)
