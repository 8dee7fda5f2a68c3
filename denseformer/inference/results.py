"""Results of a prediction: typed, drawn, and written into files."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from denseformer.images.drawing import Color, LegendEntry, overlay, with_legend
from denseformer.images.formats import as_rgb, write_picture
from denseformer.images.metadata import Metadata
from denseformer.images.picture import Picture
from denseformer.images.tiffs import Layout, write_bands

OPACITY = 0.6


@dataclass(frozen=True)
class Output:
    """A file of a result: the folder it belongs to, its suffix, and its writer."""

    folder: str
    suffix: str
    write: Callable[[Path], Any]


class Result(ABC):
    """The prediction for an image; name: the image's path below its source."""

    name: PurePosixPath

    @abstractmethod
    def outputs(self) -> dict[str, Output]:
        """The files of this result, by their names in the record."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """The entries of this result in the record of a run, besides its files."""

    @abstractmethod
    def plot(self) -> Image.Image:
        """The prediction, drawn."""

    def legend_entries(self) -> Sequence[LegendEntry]:
        """All entries that the legend of a plot may have; none for a plot without a legend."""
        return ()

    @abstractmethod
    def input_image(self) -> Image.Image:
        """The image that was predicted on, 8 bits R, G, B, for comparison with `output_image`."""

    @abstractmethod
    def output_image(self) -> Image.Image:
        """The prediction in place of the image: drawn over it, or the restored image."""


@dataclass(frozen=True, eq=False)
class SegmentationResult(Result):
    """The classes of an image's pixels.

    name: the image's path below its source; image: (H, W, 3) uint8, R, G, B; mask: (H, W) uint8, or uint16 with more
    than 256 classes, indices into `classes`; palette: a color (R, G, B) per class; probabilities: (K, H, W) float16 in
    [0, 1], where they were asked for; geo_tags: TIFF tags of the image's georeference; facts: what a model says of
    the image besides, where it does.
    """

    name: PurePosixPath
    image: np.ndarray
    mask: np.ndarray
    classes: Sequence[str]
    palette: Sequence[Color]
    probabilities: np.ndarray | None = None
    geo_tags: list = field(default_factory=list)
    facts: dict[str, Any] | None = None

    @property
    def shares(self) -> dict[str, float]:
        """The share of the image's pixels of each class that occurs, the largest first."""
        return shares_of(np.bincount(self.mask.ravel(), minlength=len(self.classes)), self.classes)

    def plot(self, opacity: float = OPACITY) -> Image.Image:
        """The image with its classes in color and a legend of those that occur."""
        colors = dict(self.legend_entries())
        picture = overlay(self.image, self.mask, self.palette, opacity)
        return with_legend(picture, [(name, colors[name]) for name in self.shares])

    def legend_entries(self) -> Sequence[LegendEntry]:
        return list(zip(self.classes, self.palette, strict=True))

    def input_image(self) -> Image.Image:
        return Image.fromarray(self.image)

    def output_image(self) -> Image.Image:
        return overlay(self.image, self.mask, self.palette, OPACITY)

    def save(self, path: str | Path) -> None:
        """Write the mask: a palette png of 8 bits, or a gray one of 16 bits with more than 256 classes."""
        image = Image.fromarray(self.mask)
        if self.mask.dtype == np.uint8:
            image.putpalette([channel for color in self.palette for channel in color])
        image.save(path, format='PNG')

    def save_geotiff(self, path: str | Path) -> None:
        """Write the mask as a TIFF file with the image's georeference."""
        palette = self.palette if self.mask.dtype == np.uint8 else None
        layout = Layout(self.mask.shape, 1, self.mask.dtype, Metadata(geo_tags=self.geo_tags), palette)
        write_bands(Path(path), layout, iter([self.mask]))

    def save_facts(self, path: str | Path) -> None:
        """Write what the model says of the image besides its mask."""
        Path(path).write_text(json.dumps(self.facts) + '\n')

    def outputs(self) -> dict[str, Output]:
        mask = Output('masks', '.tif', self.save_geotiff) if self.geo_tags else Output('masks', '.png', self.save)
        files = {'mask': mask, 'overlay': Output('overlays', '.jpg', lambda path: save_jpeg(self.plot(), path))}
        if self.probabilities is not None:
            arrays = {'probabilities': self.probabilities, 'classes': np.array(self.classes)}
            files['probabilities'] = Output('probabilities', '.npz', lambda path: save_arrays(path, arrays))
        if self.facts is not None:
            files['facts'] = Output('facts', '.json', self.save_facts)
        return files

    def record(self) -> dict[str, Any]:
        H, W = self.mask.shape
        return {'height': H, 'width': W, 'classes': self.shares}

    def to_supervision(self) -> Any:
        """`supervision.Detections` with one mask (H, W) per class that occurs; needs the package supervision."""
        supervision = import_supervision()
        present = np.unique(self.mask)
        masks = self.mask[None] == present[:, None, None]
        return supervision.Detections(
            xyxy=supervision.mask_to_xyxy(masks), mask=masks, class_id=present.astype(int),
            data={'class_name': np.array([self.classes[i] for i in present])},
        )  # fmt: skip


def import_supervision() -> ModuleType:
    """The package supervision; raises ImportError with the remedy where it is not installed."""
    try:
        import supervision
    except ImportError as error:
        raise ImportError("to_supervision() needs supervision: pip install 'denseformer[supervision]'.") from error
    return supervision


def shares_of(counts: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """The share of each class that occurs, the largest first, from its number of pixels (K,)."""
    order = np.argsort(-counts, kind='stable')
    return {classes[i]: round(float(counts[i] / counts.sum()), 4) for i in order if counts[i]}


@dataclass(frozen=True, eq=False)
class RestorationResult(Result):
    """A restored image, of its source's depth, channels and transparency.

    name: the image's path below its source; source, picture: the image before and after; suffix: that of the file to
    write.
    """

    name: PurePosixPath
    source: Picture
    picture: Picture
    suffix: str

    @property
    def image(self) -> np.ndarray:
        """(H, W, C) uint8, uint16 or float32: gray, or R, G, B, and A where the source has it."""
        return as_rgb(self.picture)

    def input_image(self) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(self.source.as_bgr8()[..., ::-1]))

    def output_image(self) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(self.picture.as_bgr8()[..., ::-1]))

    def plot(self) -> Image.Image:
        """The source, enlarged, beside the restored image, in 8 bits."""
        restored = self.output_image()
        source = self.input_image().resize(restored.size, Image.Resampling.BICUBIC)
        canvas = Image.new('RGB', (2 * restored.width, restored.height))
        canvas.paste(source, (0, 0))
        canvas.paste(restored, (restored.width, 0))
        return canvas

    def save(self, path: str | Path) -> None:
        """Write the restored image in the format that `suffix` names."""
        write_picture(self.picture, path, self.suffix)

    def outputs(self) -> dict[str, Output]:
        return {'restored': Output('restored', self.suffix, self.save)}

    def record(self) -> dict[str, Any]:
        H, W, channels = self.image.shape
        return {'height': H, 'width': W, 'channels': channels, 'bits': 8 * self.picture.pixels.itemsize}


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as a compressed .npz file."""
    with path.open('wb') as file:  # numpy would add a suffix to a name
        np.savez_compressed(file, allow_pickle=False, **arrays)


def save_jpeg(picture: Image.Image, path: Path) -> None:
    """Write a drawing; one too large for the format is shrunk to what it allows."""
    picture.thumbnail((65_500, 65_500))
    picture.save(path, format='JPEG', quality=90)
