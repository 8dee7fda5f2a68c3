"""Semantic segmentation: mmsegmentation's models, as their config tests them, at each image's own size.

Legend: H W image, h w what the network is given, K classes.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.functional import interpolate

from denseformer.config.audit import metainfo
from denseformer.images.metadata import Metadata
from denseformer.images.reading import Picture
from denseformer.images.tiffs import Layout
from denseformer.inference.drawing import spread_colours
from denseformer.inference.results import SegmentationResult
from denseformer.inference.task import Prepared, Settings, Task, Windows
from denseformer.inference.tiling import as_bands, assemble, reader_of

LOADERS = ('LoadImage', 'LoadSegmentation', 'LoadAnnotations', 'LoadImageFromFile')
RESIZERS = ('Resize', 'ResizeImage', 'ResizeShortestEdge', 'ResizeToMultiple')
OVERLAP = 160
MULTIPLE = 32
ROWS = 64
"""How many rows of class scores are enlarged at once: all at once, 150 classes of a photograph take gigabytes."""


class SegmentationTask(Task):
    """Pictures to `SegmentationResult`; the model is one with an `encode_decode`, as mmsegmentation's are."""

    def __init__(self, config: Config, model: nn.Module, settings: Settings):
        super().__init__(settings)
        self.model = model
        self.classes, self.palette = class_names(config)
        self.pipeline = prediction_pipeline(config, native=settings.native)
        self.ratios = augmented_ratios(config) if settings.augment else (1.0,)
        self.windows = Windows(self.scores, settings, overlap=OVERLAP, multiple=MULTIPLE, padding=MULTIPLE)

    def inputs_of(self, picture: Picture, name: PurePosixPath) -> tuple[Tensor, Any]:
        size = picture.size
        sample = {'img': picture.as_bgr8(), 'img_shape': size, 'ori_shape': size, 'img_path': str(name)}
        inputs = self.pipeline(sample)['inputs']  # (3, h, w)
        return inputs, (tuple(inputs.shape), size)

    def batch_size(self, prepared: Prepared) -> int:
        return self.windows.how_many(reader_of(prepared.inputs), prepared.inputs.shape[1:])

    @torch.inference_mode()
    def predict(self, batch: Sequence[Prepared]) -> list[SegmentationResult]:
        maps: Sequence[Tensor]
        if len(batch) > 1:
            maps = self.windows.elastic(torch.stack([prepared.inputs for prepared in batch]))
        else:
            (prepared,) = batch
            size = tuple(prepared.inputs.shape[1:])
            if size == prepared.source.size and not self.settings.probabilities:
                return [self._result(prepared, *self._in_blocks(prepared.inputs, size))]
            maps = [assemble(self.windows.blocks(reader_of(prepared.inputs), size), size)]
        pairs = zip(maps, batch, strict=True)
        return [self._result(prepared, *self._labels(scores, prepared)) for scores, prepared in pairs]

    def _result(self, prepared: Prepared, mask: np.ndarray, probabilities: np.ndarray | None) -> SegmentationResult:
        image = np.ascontiguousarray(prepared.source.as_bgr8()[..., ::-1])
        return SegmentationResult(
            prepared.name, image, mask, self.classes, self.palette, probabilities, prepared.geography
        )

    def _in_blocks(self, inputs: Tensor, size: tuple[int, int]) -> tuple[np.ndarray, None]:
        """Labels without ever holding the scores of the whole image."""
        mask: np.ndarray = np.empty(size, self.dtype)
        for block in self.windows.blocks(reader_of(inputs), size):
            labels = self.to_labels(block.values)
            mask[block.top : block.top + labels.shape[0], block.left : block.left + labels.shape[1]] = labels
        return mask, None

    def _labels(self, scores: Tensor, prepared: Prepared) -> tuple[np.ndarray, np.ndarray | None]:
        """Labels, and probabilities if asked for, from scores (K, h, w), at the picture's size."""
        labels, probabilities = [], []
        for rows in enlarged(scores, prepared.source.size, getattr(self.model, 'align_corners', False)):
            labels.append(self.to_labels(rows))
            if self.settings.probabilities:
                chances = rows.float().softmax(0) if len(rows) > 1 else rows.float().sigmoid()
                probabilities.append(chances.half().cpu().numpy())
        return np.concatenate(labels), np.concatenate(probabilities, 1) if probabilities else None

    @property
    def dtype(self) -> type:
        return np.uint8 if len(self.classes) <= 256 else np.uint16

    def to_labels(self, scores: Tensor) -> np.ndarray:
        """(K, H, W) -> (H, W); a single class is told from none by the head's threshold."""
        if len(scores) > 1:
            return scores.argmax(0).cpu().numpy().astype(self.dtype)
        return (scores[0].sigmoid() > self.model.decode_head.threshold).cpu().numpy().astype(self.dtype)

    @torch.inference_mode()
    def scores(self, images: Tensor) -> Tensor:
        """Class scores of images or windows (B, 3, h, w), B, G, R, 0 .. 255 -> (B, K, h, w) before the softmax."""
        images = images.to(self.settings.device)
        return self._augmented(images) if self.settings.augment else self._scores(images)

    def _augmented(self, images: Tensor) -> Tensor:
        """The logarithm of the probabilities' mean over the sizes, each also mirrored."""
        size = images.shape[2:]
        total: Any = 0
        for ratio in self.ratios:
            resized = resize(images.float(), tuple(max(1, round(side * ratio)) for side in size))
            for mirrored in (False, True):
                scores = self._scores(resized.flip(3)).flip(3) if mirrored else self._scores(resized)
                scores = resize(scores, size)
                chances = scores.softmax(1) if scores.shape[1] > 1 else scores.sigmoid()
                total = total + chances
        mean = total / (2 * len(self.ratios))
        return mean.log() if mean.shape[1] > 1 else mean.logit()

    def _scores(self, images: Tensor) -> Tensor:
        h, w = images.shape[2:]
        samples = [SegDataSample(metainfo={'ori_shape': (h, w), 'img_shape': (h, w)}) for _ in images]
        data = self.model.data_preprocessor({'inputs': list(images), 'data_samples': samples}, False)
        inputs = data['inputs']  # with the padding that the config asks for, on the right and at the bottom
        metas = [{'ori_shape': (h, w), 'img_shape': inputs.shape[2:], 'pad_shape': inputs.shape[2:]} for _ in images]
        with self.settings.autocast():
            if self.settings.tile:
                scores = self.model.encode_decode(inputs, metas)
            else:
                scores = self.model.inference(inputs, metas)
        return scores[..., :h, :w].float()

    def layout(self, prepared: Prepared) -> Layout:
        """The file that `bands` make up."""
        palette = self.palette if self.dtype == np.uint8 else None
        metadata = Metadata(geography=prepared.geography)
        return Layout(prepared.window.size, 1, np.dtype(self.dtype), metadata, palette)

    @torch.inference_mode()
    def bands(self, prepared: Prepared) -> Iterator[np.ndarray]:
        """Labels (h, W) of a file that is read in windows, from top to bottom."""
        window = prepared.window

        def read(rows: slice, columns: slice) -> Tensor:
            pixels = window.read(rows, columns)[..., :3]
            picture = Picture(pixels[..., ::-1] if pixels.shape[2] == 3 else pixels[..., :1])
            return torch.from_numpy(np.ascontiguousarray(picture.as_bgr8())).permute(2, 0, 1)

        yield from as_bands(self.windows.blocks(read, window.size), window.size[1], self.to_labels)


def resize(images: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, C, H, W), bilinearly."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return interpolate(images, tuple(size), mode='bilinear', align_corners=False)


def augmented_ratios(config: Config) -> tuple[float, ...]:
    """The sizes of the config's test-time augmentation, as multiples of its test size; 1 where it has none."""
    augmentations = [step for step in config.get('tta_pipeline') or () if step['type'].endswith('TestTimeAug')]
    steps = [step for augmentation in augmentations for choice in augmentation['transforms'] for step in choice]
    ratios = [step.get('ratio', step.get('scale_factor')) for step in steps]
    return tuple(float(ratio) for ratio in ratios if ratio is not None) or (1.0,)


def enlarged(scores: Tensor, size: tuple[int, int], align_corners: bool) -> Iterator[Tensor]:
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


def prediction_pipeline(config: Config, *, native: bool) -> Compose:
    """The test pipeline without what reads images and labels, and without what resizes if at their own size."""
    steps = config.get('test_pipeline') or config.test_dataloader.dataset.pipeline
    init_default_scope(config.get('default_scope') or 'mmengine')
    dropped = (*LOADERS, *RESIZERS) if native else LOADERS
    return Compose([step for step in steps if step['type'].rpartition('.')[2] not in dropped])


def class_names(config: Config) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """The test data set's class names and colours; the colours are spread over the hues where it has none."""
    init_default_scope(config.get('default_scope') or 'mmengine')
    classes, palette = metainfo(config.test_dataloader.dataset)
    classes = tuple(classes or (f'class {i}' for i in range(config.num_classes)))
    colours = palette or spread_colours(len(classes))
    return classes, tuple((int(r), int(g), int(b)) for r, g, b in colours)
