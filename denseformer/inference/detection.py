"""Detection, instance and panoptic segmentation: mmdetection's models, as their config tests them.

Legend: H W image, n instances.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from PIL import Image
from pycocotools import mask as rle
from torch import nn

from denseformer.detection.instances import Instances, View, encoded, merge_views, moved
from denseformer.detection.mask2former import MaskFusion
from denseformer.detection.test_time import merge_copies, mirrored, predict_copies
from denseformer.export import Exportable, exportable_query_model
from denseformer.images.drawing import LegendEntry, draw_instances, tinted, with_legend
from denseformer.images.picture import Picture
from denseformer.inference.coco import annotations_of, likely, segments_of
from denseformer.inference.memory import is_out_of_memory
from denseformer.inference.panoptic import PanopticTile, merge_panoptic
from denseformer.inference.results import Color, Output, Result, import_supervision, save_jpeg
from denseformer.inference.task import (
    PreparedItem,
    Task,
    after_loading,
    class_names,
    facts_for_export,
    prediction_steps,
)
from denseformer.inference.tiling import Tiling, plan_spans
from denseformer.options import PredictionOptions

OVERLAP = 1 / 4
"""The share of a tile that it has in common with its neighbor, where the settings name no overlap."""
SMALLEST_TILE = 256
CAPTION_ATTRIBUTES = 3
INSTANCE_OFFSET = 1000  # mmdetection's panoptic ids are class + 1000 * instance


@dataclass(frozen=True, eq=False)
class DetectionResult(Result):
    """The instances in an image, and its panoptic map where the model makes one.

    name: the image's path below its source; image: (H, W, 3) uint8, R, G, B; panoptic: (H, W) int32, 0 for
    nothing, else indices from 1 into `segments`, the class of each; attributes: names of those that the model tells,
    where they are known.
    """

    name: PurePosixPath
    image: np.ndarray
    instances: Instances
    classes: Sequence[str]
    palette: Sequence[Color]
    panoptic: np.ndarray | None = None
    segments: Sequence[int] = ()
    attributes: Sequence[str] = ()

    @property
    def boxes(self) -> np.ndarray:
        """(n, 4) left, top, right, bottom in pixels."""
        return self.instances.boxes

    @property
    def masks(self) -> np.ndarray | None:
        """(n, H, W) bool, or None for a model that gives boxes alone."""
        if self.instances.masks is None:
            return None
        decoded = [rle.decode(mask).astype(bool) for mask in self.instances.masks]
        return np.stack(decoded) if decoded else np.zeros((0, *self.image.shape[:2]), bool)

    def plot(self) -> Image.Image:
        """The image with boxes, masks, names and scores; with a panoptic map its segments and a legend below."""
        if self.panoptic is None:
            return self.output_image()
        return with_legend(
            self.output_image(), [(self.classes[i], self.palette[i]) for i in dict.fromkeys(self.segments)]
        )

    def legend_entries(self) -> Sequence[LegendEntry]:
        return () if self.panoptic is None else list(zip(self.classes, self.palette, strict=True))

    def input_image(self) -> Image.Image:
        return Image.fromarray(self.image)

    def output_image(self) -> Image.Image:
        found = self.instances
        names = [self.caption(i) for i in range(len(found))]
        colors = [self.palette[i] for i in found.labels]
        if self.panoptic is not None:
            image = tinted(self.image, self.panoptic, [self.palette[i] for i in self.segments])
            return draw_instances(image, found.boxes, names, colors, None)
        masks = None if found.masks is None else (rle.decode(mask).astype(bool) for mask in found.masks)
        return draw_instances(self.image, found.boxes, names, colors, masks)

    def caption(self, i: int) -> str:
        """An instance's class, score and likeliest attributes."""
        found = self.instances
        parts = [f'{self.classes[found.labels[i]]} {found.scores[i]:.2f}']
        if found.attributes is not None and self.attributes:
            parts += list(likely(found.attributes[i], self.attributes))[:CAPTION_ATTRIBUTES]
        return ', '.join(parts)

    def save(self, path: str | Path) -> None:
        """Write the instances: a list of COCO's annotations, with scores and without ids."""
        Path(path).write_text(json.dumps(annotations_of(self.instances, self.classes, self.attributes)) + '\n')

    def save_panoptic(self, path: Path) -> None:
        """Write the panoptic map as COCO does: the segment's number as R + 256 G + 65536 B."""
        numbers = self.panoptic.astype(np.uint32)
        channels = np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], 2).astype(np.uint8)
        Image.fromarray(channels).save(path, 'PNG')

    def save_segments(self, path: Path) -> None:
        """Write the panoptic map's segments: COCO's `segments_info`."""
        assert self.panoptic is not None
        path.write_text(json.dumps(segments_of(self.panoptic, self.segments, self.classes)) + '\n')

    def outputs(self) -> dict[str, Output]:
        files = {
            'instances': Output('instances', '.json', self.save),
            'overlay': Output('overlays', '.jpg', lambda path: save_jpeg(self.plot(), path)),
        }
        if self.panoptic is not None:
            files['panoptic'] = Output('panoptic', '.png', self.save_panoptic)
            files['segments'] = Output('panoptic', '.json', self.save_segments)
        return files

    def record(self) -> dict[str, Any]:
        H, W = self.image.shape[:2]
        counts = np.bincount(self.instances.labels, minlength=len(self.classes))
        found = {self.classes[i]: int(counts[i]) for i in np.argsort(-counts, kind='stable') if counts[i]}
        return {'height': H, 'width': W, 'found': found}

    def to_supervision(self) -> Any:
        """`supervision.Detections`; needs the package supervision."""
        supervision, found = import_supervision(), self.instances
        names = np.array([self.classes[i] for i in found.labels])
        return supervision.Detections(
            xyxy=found.boxes,
            mask=self.masks,
            confidence=found.scores,
            class_id=found.labels,
            data={'class_name': names},
        )


class DetectionTask(Task):
    """From pictures to `DetectionResult`; in tiles where the settings name a size or memory runs out."""

    def __init__(self, config: Config, model: nn.Module, settings: PredictionOptions):
        super().__init__(settings)
        if settings.probabilities:
            raise ValueError('Detection has no --probabilities: leave it out.')
        self.model = model
        self.config = config
        self.classes, self.palette = class_names(config)
        self.attributes = tuple((config.test_dataloader.dataset.get('metainfo') or {}).get('attributes') or ())
        self.wanted = list(range(len(self.classes)))
        if settings.classes:
            self.wanted = [index_of(name, self.classes) for name in settings.classes]
        make_steps = augmented_steps if settings.tta else prediction_steps
        self.pipeline = Compose(make_steps(config, native=settings.native))
        self.tile = settings.tile
        if self.tile is not None:
            self._tiling(self.tile)  # raises for sizes that are too small

    def inputs_of(self, picture: Picture, name: PurePosixPath) -> tuple[Any, Any]:
        if self.tile is not None and max(picture.size) > self.tile:
            return None, picture.size
        sample = self._sample(picture.as_bgr8())
        first = sample['inputs'][0] if self.settings.tta else sample['inputs']
        return sample, (tuple(first.shape), picture.size)

    def batch_size(self, prepared: PreparedItem) -> int:
        return self.settings.batch_size or 1

    @torch.inference_mode()
    def predict(self, batch: Sequence[PreparedItem]) -> list[DetectionResult]:
        while True:
            longest = max(batch[0].source.size)
            side = longest if self.tile is None else min(longest, self.tile)
            try:
                if side == longest:
                    samples = self._run([prepared.inputs for prepared in batch])
                    found = [(self.instances_of(sample), *self.panoptic_of(sample)) for sample in samples]
                    return [self._result(prepared, *parts) for prepared, parts in zip(batch, found, strict=True)]
                return [self._result(prepared, *self._in_tiles(prepared, side)) for prepared in batch]
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or not self._shrink(side):
                    raise

    def exportable(self) -> Exportable:
        """The classes and masks of a fixed number of queries; raises ValueError for other detectors."""
        if not isinstance(getattr(self.model, 'panoptic_fusion_head', None), MaskFusion):
            raise ValueError(
                f'{type(self.model).__name__} cannot be exported: how many objects an image has decides how its '
                'detector goes on (non-maximum suppression, features cut out at proposals), and a file holds one fixed '
                'sequence of operators. Predict with its config and checkpoint; segmentation and restoration models '
                'are exported, and Mask2Former, EoMT and kMaX-DeepLab for instances and panoptic maps.'
            )
        facts = facts_for_export(self.config, self.classes, self.palette)
        return exportable_query_model(self.model, self.config.model.panoptic_fusion_head, facts)

    def _shrink(self, side: int) -> bool:
        """Halve the tiles' size; False when they would be too small."""
        if side // 2 < SMALLEST_TILE:
            return False
        self.tile = side // 2
        MMLogger.get_current_instance().warning(
            f'Out of memory at {side} pixels: continuing with tiles of {self.tile}.'
        )
        return True

    def _tiling(self, side: int) -> Tiling:
        overlap = int(OVERLAP * side) if self.settings.overlap is None else self.settings.overlap
        if self.tile != self.settings.tile:  # halved because memory ran out
            overlap = min(overlap, side // 2)
        return Tiling(side, margin=overlap // 2, fade=0, multiple=1)

    def _sample(self, pixels: np.ndarray) -> dict[str, Any]:
        size = pixels.shape[:2]
        sample = {'img': pixels, 'img_shape': size, 'ori_shape': size, 'scale_factor': (1.0, 1.0)}
        return self.pipeline({**sample, 'img_path': '', 'img_id': 0})

    def _run(self, samples: Sequence[dict[str, Any]]) -> list[Any]:
        """The `DetDataSample` of each image, or tile; of the copies of one, where the settings ask for them, merged."""
        if not self.settings.tta:
            return self._test(samples)
        copies = [self._test([copy_of(sample, i) for sample in samples]) for i in range(len(samples[0]['inputs']))]
        return [merge_copies(found, len(self.classes)) for found in zip(*copies, strict=True)]

    def _test(self, samples: Sequence[dict[str, Any]]) -> list[Any]:
        batch = {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}
        with self.running():
            return predict_copies(self.model, batch) if self.settings.tta else self.model.test_step(batch)

    def _result(
        self, prepared: PreparedItem, instances: Instances, panoptic: np.ndarray | None, segments: Sequence[int]
    ) -> DetectionResult:
        image = np.ascontiguousarray(prepared.source.as_bgr8()[..., ::-1])
        facts = (self.classes, self.palette, panoptic, segments, self.attributes)
        return DetectionResult(prepared.name, image, instances, *facts)

    def instances_of(self, sample: Any) -> Instances:
        """A `DetDataSample`'s instances of the wanted classes and of at least the settings' score."""
        found = sample.get('pred_instances')
        if found is None:
            return Instances(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int), None)
        wanted = torch.tensor(self.wanted, device=found.labels.device)
        found = found[(found.scores >= self.settings.score) & torch.isin(found.labels, wanted)].cpu()
        masks = [encoded(mask) for mask in found.masks] if 'masks' in found else None
        attributes = found.attributes.float().numpy() if 'attributes' in found else None
        boxes, scores = found.bboxes.float().numpy(), found.scores.float().numpy()
        return Instances(boxes, scores, found.labels.numpy(), masks, attributes)

    def panoptic_of(self, sample: Any) -> tuple[np.ndarray | None, list[int]]:
        """A `DetDataSample`'s panoptic map with its segments of wanted classes numbered from 1, and their classes."""
        found = sample.get('pred_panoptic_seg')
        if found is None:
            return None, []
        ids, segments = np.unique(found.sem_seg.squeeze(0).cpu().numpy(), return_inverse=True)
        labels = ids % INSTANCE_OFFSET  # as many as classes: nothing
        wanted = np.isin(labels, self.wanted)
        numbers = np.where(wanted, np.cumsum(wanted), 0)
        return numbers[segments.reshape(found.sem_seg.shape[-2:])].astype(np.int32), labels[wanted].tolist()

    def _in_tiles(self, prepared: PreparedItem, side: int) -> tuple[Instances, np.ndarray | None, list[int]]:
        """The instances of at least the settings' score, the panoptic map if there is one, and its segments."""
        tiling, pixels = self._tiling(side), prepared.source.as_bgr8()
        H, W = pixels.shape[:2]
        spans = [(row, column) for row in plan_spans(H, tiling) for column in plan_spans(W, tiling)]
        size = self.settings.batch_size or 1
        tiles, maps = [], []
        for batch in (spans[i : i + size] for i in range(0, len(spans), size)):
            parts = [np.ascontiguousarray(pixels[row.start : row.stop, col.start : col.stop]) for row, col in batch]
            for (row, column), sample in zip(batch, self._run([self._sample(part) for part in parts]), strict=True):
                found = moved(self.instances_of(sample), column.start, row.start, (H, W))
                tiles.append(View(np.array([column.start, row.start, column.stop, row.stop]), found))
                segments, labels = self.panoptic_of(sample)
                if segments is not None:
                    maps.append(PanopticTile(row, column, segments, labels))
        instances = merge_views(tiles)
        instances = instances[np.flatnonzero(instances.scores >= self.settings.score)]
        return (instances, *(merge_panoptic(maps, (H, W), self._things()) if maps else (None, [])))

    def _things(self) -> int:
        """How many classes, the first ones, are countable."""
        return getattr(self.model, 'num_things_classes', len(self.classes))

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), 'things': self._things()}


def copy_of(sample: Mapping[str, Any], i: int) -> dict[str, Any]:
    """One of the copies of an image that test-time augmentation makes."""
    return {key: sample[key][i] for key in ('inputs', 'data_samples')}


def augmented_steps(config: Config, *, native: bool) -> list[dict[str, Any]]:
    """The steps after loading that make the copies of the config's `tta_pipeline`, or the image and its mirror image.

    native: at the image's own size, so the latter.
    """
    if config.get('tta_pipeline') and not native:
        return after_loading(config.tta_pipeline)
    return mirrored(prediction_steps(config, native=native))


def index_of(name: str, classes: Sequence[str]) -> int:
    """The index of a class; raises ValueError with the nearest name for one that does not exist."""
    if name not in classes:
        near = difflib.get_close_matches(name, classes, 1)
        hint = f", did you mean '{near[0]}'?" if near else f': {", ".join(classes)}.'
        raise ValueError(f"There is no class '{name}' among the model's{hint}")
    return classes.index(name)
