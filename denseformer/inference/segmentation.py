"""Semantic segmentation: mmsegmentation's models, as their config tests them, at each image's own size.

Legend: H W image, h w what the network is given, K classes.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.functional import interpolate

from denseformer.export import Exportable, exportable_segmentor
from denseformer.images.metadata import Metadata
from denseformer.images.picture import Picture
from denseformer.images.tiffs import Layout
from denseformer.inference.results import SegmentationResult
from denseformer.inference.task import (
    PreparedItem,
    Task,
    TiledNetwork,
    class_names,
    facts_for_export,
    prediction_pipeline,
)
from denseformer.inference.tiling import as_bands, assemble, reader_of
from denseformer.options import PredictionOptions

OVERLAP = 160
MULTIPLE = 32
ROWS = 64
"""Rows of class scores that are upsampled at once: those of a whole photograph take gigabytes with 150 classes."""


class SegmentationTask(Task):
    """From pictures to `SegmentationResult`; the model has an `encode_decode`, as mmsegmentation's have.

    A model with a `describe`, as `FaceXFormer`, is asked for what else it finds in each whole image, by another pass.
    """

    def __init__(self, config: Config, model: nn.Module, settings: PredictionOptions):
        super().__init__(settings)
        self.model = model
        self.config = config
        self.classes, self.palette = class_names(config)
        self.pipeline = prediction_pipeline(config, native=settings.native)
        self.ratios = augmented_ratios(config) if settings.tta else (1.0,)
        self.tiled = TiledNetwork(self.scores, settings, overlap=OVERLAP, multiple=MULTIPLE, padding=MULTIPLE)

    def inputs_of(self, picture: Picture, name: PurePosixPath) -> tuple[Tensor, Any]:
        size = picture.size
        sample = {'img': picture.as_bgr8(), 'img_shape': size, 'ori_shape': size, 'img_path': str(name)}
        inputs = self.pipeline(sample)['inputs']  # (3, h, w)
        return inputs, (tuple(inputs.shape), size)

    def batch_size(self, prepared: PreparedItem) -> int:
        return self.tiled.batch_size(reader_of(prepared.inputs), prepared.inputs.shape[1:])

    @torch.inference_mode()
    def predict(self, batch: Sequence[PreparedItem]) -> list[SegmentationResult]:
        maps: Sequence[Tensor]
        if len(batch) > 1:
            maps = self.tiled.network(torch.stack([prepared.inputs for prepared in batch]))
        else:
            (prepared,) = batch
            size = tuple(prepared.inputs.shape[1:])
            if size == prepared.source.size and not self.settings.probabilities:
                return [self._result(prepared, *self._in_tiles(prepared.inputs, size))]
            maps = [assemble(self.tiled.tiles(reader_of(prepared.inputs), size), size)]
        pairs = zip(maps, batch, strict=True)
        return [self._result(prepared, *self._labels(scores, prepared)) for scores, prepared in pairs]

    def exportable(self) -> Exportable:
        """The model with its classes, colors and the steps before the network; a file has no facts beside the mask."""
        if facts := getattr(self.model.decode_head, 'fact_heads', None):
            MMLogger.get_current_instance().warning(
                f'The file gives the mask alone: the facts that {type(self.model).__name__} finds beside it '
                f'({", ".join(facts)}) need its config and checkpoint.'
            )
        return exportable_segmentor(self.model, facts_for_export(self.config, self.classes, self.palette))

    def _result(self, prepared: PreparedItem, mask: np.ndarray, probabilities: np.ndarray | None) -> SegmentationResult:
        image = np.ascontiguousarray(prepared.source.as_bgr8()[..., ::-1])
        return SegmentationResult(
            prepared.name,
            image,
            mask,
            self.classes,
            self.palette,
            probabilities,
            prepared.geo_tags,
            self.facts_of(prepared) if hasattr(self.model, 'describe') else None,
        )

    def facts_of(self, prepared: PreparedItem) -> dict[str, Any]:
        """The model's facts about an image; the padding of its inputs lies outside of the picture."""
        inputs = self._inputs(prepared.inputs[None].to(self.device))
        (H, W), (h, w) = prepared.source.size, prepared.inputs.shape[1:]
        with self.running():
            (facts,) = self.model.describe(inputs, [(H * inputs.shape[2] / h, W * inputs.shape[3] / w)])
        return facts

    def _in_tiles(self, inputs: Tensor, size: tuple[int, int]) -> tuple[np.ndarray, None]:
        """Labels (H, W), without ever holding the scores of the whole image."""
        mask: np.ndarray = np.empty(size, self.dtype)
        for tile in self.tiled.tiles(reader_of(inputs), size):
            labels = self.to_labels(tile.values)
            mask[tile.top : tile.top + labels.shape[0], tile.left : tile.left + labels.shape[1]] = labels
        return mask, None

    def _labels(self, scores: Tensor, prepared: PreparedItem) -> tuple[np.ndarray, np.ndarray | None]:
        """Labels, and probabilities if asked for, from scores (K, h, w), at the picture's size."""
        labels, probabilities = [], []
        for rows in upsampled(scores, prepared.source.size, getattr(self.model, 'align_corners', False)):
            labels.append(self.to_labels(rows))
            if self.settings.probabilities:
                chances = rows.float().softmax(0) if len(rows) > 1 else rows.float().sigmoid()
                probabilities.append(chances.half().cpu().numpy())
        return np.concatenate(labels), np.concatenate(probabilities, 1) if probabilities else None

    @property
    def dtype(self) -> type:
        return np.uint8 if len(self.classes) <= 256 else np.uint16

    def to_labels(self, scores: Tensor) -> np.ndarray:
        """(K, H, W) -> (H, W); a single class is told from the background by the head's threshold."""
        if len(scores) > 1:
            return scores.argmax(0).cpu().numpy().astype(self.dtype)
        return (scores[0].sigmoid() > self.model.decode_head.threshold).cpu().numpy().astype(self.dtype)

    @torch.inference_mode()
    def scores(self, images: Tensor) -> Tensor:
        """Class scores of images or tiles (B, 3, h, w), B, G, R, 0 .. 255 -> (B, K, h, w) before the softmax."""
        images = images.to(self.device)
        return self._augmented(images) if self.settings.tta else self._scores(images)

    def _augmented(self, images: Tensor) -> Tensor:
        """The logarithm of the mean of the probabilities over the sizes, each also flipped."""
        size = images.shape[2:]
        total: Any = 0
        for ratio in self.ratios:
            resized = resize(images.float(), tuple(max(1, round(side * ratio)) for side in size))
            for flipped in (False, True):
                scores = self._scores(resized.flip(3)).flip(3) if flipped else self._scores(resized)
                scores = resize(scores, size)
                chances = scores.softmax(1) if scores.shape[1] > 1 else scores.sigmoid()
                total = total + chances
        mean = total / (2 * len(self.ratios))
        return mean.log() if mean.shape[1] > 1 else mean.logit()

    def _scores(self, images: Tensor) -> Tensor:
        h, w = images.shape[2:]
        inputs = self._inputs(images)
        metas = [{'ori_shape': (h, w), 'img_shape': inputs.shape[2:], 'pad_shape': inputs.shape[2:]} for _ in images]
        with self.running():
            if self.settings.tile:
                scores = self.model.encode_decode(inputs, metas)
            else:
                scores = self.model.inference(inputs, metas)
        return scores[..., :h, :w].float()

    def _inputs(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) normalised, with the padding that the config asks for, on the right and at the bottom."""
        size = tuple(images.shape[2:])
        samples = [SegDataSample(metainfo={'ori_shape': size, 'img_shape': size}) for _ in images]
        return self.model.data_preprocessor({'inputs': list(images), 'data_samples': samples}, False)['inputs']

    def layout(self, prepared: PreparedItem) -> Layout:
        """The file that `bands` make up."""
        palette = self.palette if self.dtype == np.uint8 else None
        metadata = Metadata(geo_tags=prepared.geo_tags)
        return Layout(prepared.tiff.size, 1, np.dtype(self.dtype), metadata, palette)

    @torch.inference_mode()
    def bands(self, prepared: PreparedItem) -> Iterator[np.ndarray]:
        """Labels (h, W) of a file that is read region by region, from top to bottom."""
        tiff = prepared.tiff

        def read(rows: slice, columns: slice) -> Tensor:
            pixels = tiff.read(rows, columns)[..., :3]
            picture = Picture(pixels[..., ::-1] if pixels.shape[2] == 3 else pixels[..., :1])
            return torch.from_numpy(np.ascontiguousarray(picture.as_bgr8())).permute(2, 0, 1)

        yield from as_bands(self.tiled.tiles(read, tiff.size), tiff.size[1], self.to_labels)


def resize(images: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, C, H, W), bilinearly."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return interpolate(images, tuple(size), mode='bilinear', align_corners=False)


def augmented_ratios(config: Config) -> tuple[float, ...]:
    """The scales of the config's test-time augmentation, relative to its test size; 1 where it has none."""
    augmentations = [step for step in config.get('tta_pipeline') or () if step['type'].endswith('TestTimeAug')]
    steps = [step for augmentation in augmentations for choice in augmentation['transforms'] for step in choice]
    ratios = [step.get('ratio', step.get('scale_factor')) for step in steps]
    return tuple(float(ratio) for ratio in ratios if ratio is not None) or (1.0,)


def upsampled(scores: Tensor, size: tuple[int, int], align_corners: bool) -> Iterator[Tensor]:
    """Scores (K, h, w), resized bilinearly to (K, H, W), a few rows at a time."""
    h, w = scores.shape[1:]
    H, W = size
    if (h, w) == (H, W):
        yield scores
        return
    positions = torch.arange(H, device=scores.device, dtype=torch.float64)
    if align_corners:
        positions = positions * ((h - 1) / max(H - 1, 1))
    else:
        positions = ((positions + 0.5) * (h / H) - 0.5).clamp(min=0)
    above = positions.long().clamp(max=h - 1)
    below = (above + 1).clamp(max=h - 1)
    share = (positions - above).to(scores.dtype)[:, None]
    for top in range(0, H, ROWS):
        part = slice(top, top + ROWS)
        rows = torch.lerp(scores[:, above[part]], scores[:, below[part]], share[part])  # (K, ROWS, w)
        rows = rows[None]
        yield interpolate(rows, (rows.shape[2], W), mode='bilinear', align_corners=align_corners)[0]
