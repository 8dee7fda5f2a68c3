"""Detection, instance and panoptic segmentation: mmdetection's models, as their config tests them.

Legend: H W image, n instances.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image
from pycocotools import mask as rle
from torch import nn

from denseformer.inference.drawing import draw_instances
from denseformer.inference.memory import is_out_of_memory
from denseformer.inference.pictures import Picture
from denseformer.inference.results import Colour, Output, Result, save_jpeg
from denseformer.inference.segmentation import class_names, prediction_pipeline
from denseformer.inference.task import Prepared, Settings, Task
from denseformer.inference.tiling import Tiling, plan

OVERLAP = 128
SMALLEST = 256
SAME = 0.5
"""Instances of neighbouring windows are one when their boxes, where both see, share so much of their union."""
FIELDS = ('boxes', 'scores', 'labels')
INSTANCE_OFFSET = 1000  # mmdetection's panoptic ids are class + 1000 * instance
Mask = dict[str, Any]
"""COCO's run-length encoding: {'size': [H, W], 'counts': bytes}."""


@dataclass(frozen=True, eq=False)
class Instances:
    """boxes: (n, 4) left, top, right, bottom in pixels; scores: (n,); labels: (n,) class indices; masks: n, or None."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: list[Mask] | None

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class DetectionResult(Result):
    """The instances in an image, and its panoptic map where the model makes one.

    name: where the image stands below its source; image: (H, W, 3) uint8, R, G, B; panoptic: (H, W) int32, 0 for
    nothing, else indices from 1 into `segments`, the class of each.
    """

    name: PurePosixPath
    image: np.ndarray
    instances: Instances
    classes: Sequence[str]
    palette: Sequence[Colour]
    panoptic: np.ndarray | None = None
    segments: Sequence[int] = ()

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
        """The image with boxes, masks, names and scores."""
        found = self.instances
        names = [f'{self.classes[i]} {score:.2f}' for i, score in zip(found.labels, found.scores, strict=True)]
        colours = [self.palette[i] for i in found.labels]
        picture = self.image
        if self.panoptic is not None:
            table = np.array([(0, 0, 0), *(self.palette[i] for i in self.segments)], np.uint8)
            known = (self.panoptic > 0)[..., None]
            picture = np.where(known, picture * 0.4 + table[self.panoptic] * 0.6, picture).astype(np.uint8)
        return draw_instances(picture, found.boxes, names, colours, self.masks)

    def before(self) -> Image.Image:
        return Image.fromarray(self.image)

    def after(self) -> Image.Image:
        return self.plot()

    def save(self, path: str | Path) -> None:
        """Write the instances as COCO's detection results: a list with box (x, y, width, height), score and mask."""
        Path(path).write_text(json.dumps(coco_results(self.instances, self.name, self.classes)) + '\n')

    def save_panoptic(self, path: Path) -> None:
        """Write the panoptic map as COCO does: the segment's number as R + 256 G + 65536 B."""
        numbers = self.panoptic.astype(np.uint32)
        Image.fromarray(np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], 2).astype(np.uint8)).save(
            path, 'PNG'
        )

    def save_segments(self, path: Path) -> None:
        """Write the classes and areas of the panoptic map's segments."""
        areas = np.bincount(self.panoptic.ravel(), minlength=len(self.segments) + 1)
        segments = [
            {'id': i, 'category_id': int(label), 'category': self.classes[label], 'area': int(areas[i])}
            for i, label in enumerate(self.segments, 1)
        ]
        path.write_text(json.dumps({'file_name': f'{self.name}', 'segments_info': segments}) + '\n')

    def outputs(self) -> dict[str, Output]:
        files = {
            'instances': Output('instances', '.json', self.save),
            'overlay': Output('overlays', '.jpg', lambda path: save_jpeg(self.plot(), path)),
        }
        if self.panoptic is not None:
            files['panoptic'] = Output('panoptic', '.png', self.save_panoptic)
            files['segments'] = Output('panoptic', '.json', self.save_segments)
        return files

    def facts(self) -> dict[str, Any]:
        H, W = self.image.shape[:2]
        counts = np.bincount(self.instances.labels, minlength=len(self.classes))
        found = {self.classes[i]: int(counts[i]) for i in np.argsort(-counts, kind='stable') if counts[i]}
        return {'height': H, 'width': W, 'found': found}

    def to_supervision(self) -> Any:
        """`supervision.Detections`; needs the package supervision."""
        import supervision

        found = self.instances
        names = np.array([self.classes[i] for i in found.labels])
        return supervision.Detections(
            xyxy=found.boxes,
            mask=self.masks,
            confidence=found.scores,
            class_id=found.labels,
            data={'class_name': names},
        )


def coco_results(found: Instances, name: PurePosixPath, classes: Sequence[str]) -> list[dict[str, Any]]:
    entries = []
    for i in range(len(found)):
        left, top, right, bottom = found.boxes[i].tolist()
        label = int(found.labels[i])
        entry = {'image': str(name), 'category_id': label, 'category': classes[label], 'score': float(found.scores[i])}
        entry['bbox'] = [left, top, right - left, bottom - top]
        if found.masks is not None:
            mask = found.masks[i]
            entry['segmentation'] = {'size': list(mask['size']), 'counts': mask['counts'].decode()}
        entries.append(entry)
    return entries


class DetectionTask(Task):
    """Pictures to `DetectionResult`; in windows where the settings name a size or memory runs out."""

    def __init__(self, config: Config, model: nn.Module, settings: Settings):
        super().__init__(settings)
        if settings.augment or settings.probabilities:
            raise ValueError('Detection has no --tta and no --probabilities: leave them out.')
        self.model = model
        self.classes, self.palette = class_names(config)
        self.pipeline = prediction_pipeline(config, native=settings.native)
        self.tile = settings.tile

    def inputs_of(self, picture: Picture, name: PurePosixPath) -> tuple[Any, Any]:
        sample = self._sample(picture.as_bgr8())
        return sample, (tuple(sample['inputs'].shape), picture.size)

    def batch_size(self, prepared: Prepared) -> int:
        return self.settings.batch_size or 1

    @torch.inference_mode()
    def predict(self, batch: Sequence[Prepared]) -> list[DetectionResult]:
        if self.tile is None or max(batch[0].source.size) <= self.tile:
            try:
                samples = self._run([prepared.inputs for prepared in batch])
                pairs = zip(batch, samples, strict=True)
                return [self._result(prepared, self.instances_of(sample), sample) for prepared, sample in pairs]
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or not self._shrink(max(batch[0].source.size)):
                    raise
            return self.predict(batch)
        return [self._result(prepared, self._in_windows(prepared.source.as_bgr8(), self.tile)) for prepared in batch]

    def _shrink(self, side: int) -> bool:
        """Go on with windows of half the size; False when they would be too small."""
        self.tile = side // 2
        MMLogger.get_current_instance().warning(f'Out of memory at {side} pixels: going on with {self.tile}.')
        return self.tile >= SMALLEST

    def _sample(self, pixels: np.ndarray) -> dict[str, Any]:
        size = pixels.shape[:2]
        return self.pipeline({'img': pixels, 'img_shape': size, 'ori_shape': size, 'img_path': '', 'img_id': 0})

    def _run(self, samples: Sequence[dict[str, Any]]) -> list[Any]:
        batch = {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}
        with self.settings.autocast():
            return self.model.test_step(batch)

    def _result(self, prepared: Prepared, found: Instances, sample: Any = None) -> DetectionResult:
        panoptic, segments = panoptic_of(sample, len(self.classes))
        image = np.ascontiguousarray(prepared.source.as_bgr8()[..., ::-1])
        return DetectionResult(prepared.name, image, found, self.classes, self.palette, panoptic, segments)

    def instances_of(self, sample: Any) -> Instances:
        """A `DetDataSample`'s instances of at least the settings' score."""
        found = sample.get('pred_instances')
        if found is None:
            return Instances(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), None)
        found = found[found.scores >= self.settings.score].cpu()
        masks = [encoded(mask) for mask in found.masks] if 'masks' in found else None
        return Instances(found.bboxes.float().numpy(), found.scores.float().numpy(), found.labels.numpy(), masks)

    def _in_windows(self, pixels: np.ndarray, side: int) -> Instances:
        overlap = OVERLAP if self.settings.overlap is None else self.settings.overlap
        tiling = Tiling(side, overlap // 2, 0, 1)
        H, W = pixels.shape[:2]
        found = []
        for row in plan(H, tiling):
            for column in plan(W, tiling):
                window = np.ascontiguousarray(pixels[row.start : row.stop, column.start : column.stop])
                (sample,) = self._run([self._sample(window)])
                seen = np.array([column.start, row.start, column.stop, row.stop])
                found.append((seen, moved(self.instances_of(sample), column.start, row.start, (H, W))))
        return merged(found)


def encoded(mask: Any) -> Mask:
    """A mask (H, W) of a model that gives them as tensors or arrays, run-length encoded."""
    return rle.encode(np.asfortranarray(np.asarray(mask), dtype=np.uint8))


def moved(found: Instances, x: int, y: int, size: tuple[int, int]) -> Instances:
    """Instances of a window at (x, y) as those of an image (H, W)."""
    masks = None if found.masks is None else [placed(mask, x, y, size) for mask in found.masks]
    return Instances(found.boxes + np.array([x, y, x, y]), found.scores, found.labels, masks)


def placed(mask: Mask, x: int, y: int, size: tuple[int, int]) -> Mask:
    whole = np.zeros(size, np.uint8, order='F')
    h, w = mask['size']
    whole[y : y + h, x : x + w] = rle.decode(mask)
    return rle.encode(whole)


def merged(windows: Sequence[tuple[np.ndarray, Instances]]) -> Instances:
    """The instances of overlapping windows (left, top, right, bottom): what several see, or a border cuts, is one.

    Two are one when they are of the same class, and their boxes agree in what both windows see.
    """
    found = [instances for _, instances in windows]
    boxes, scores, labels = (np.concatenate([getattr(part, name) for part in found]) for name in FIELDS)
    origin = np.repeat(np.arange(len(found)), [len(part) for part in found])
    masks = None if found[0].masks is None else [mask for part in found for mask in part.masks]
    groups: list[list[int]] = []
    for i in np.argsort(-scores, kind='stable'):
        others = (g for g in groups if labels[g[0]] == labels[i] and all(origin[j] != origin[i] for j in g))
        seen = windows[origin[i]][0]
        group = next(
            (g for g in others if any(agree(boxes[i], seen, boxes[j], windows[origin[j]][0]) for j in g)), None
        )
        if group is None:
            groups.append([i])
        else:
            group.append(i)
    first = [group[0] for group in groups]
    whole = [np.concatenate([boxes[g, :2].min(0), boxes[g, 2:].max(0)]) for g in groups]
    joined = None if masks is None else [rle.merge([masks[j] for j in g]) for g in groups]
    return Instances(np.array(whole).reshape(-1, 4), scores[first], labels[first], joined)


def agree(a: np.ndarray, seen_a: np.ndarray, b: np.ndarray, seen_b: np.ndarray) -> bool:
    """Whether boxes in two windows are the same in what both windows see."""
    common = intersection(seen_a, seen_b)
    a, b = intersection(a, common), intersection(b, common)
    both = area(intersection(a, b))
    return both > 0 and both >= SAME * (area(a) + area(b) - both)


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])])


def area(box: np.ndarray) -> float:
    return float(np.prod((box[2:] - box[:2]).clip(min=0)))


def panoptic_of(sample: Any, classes: int) -> tuple[np.ndarray | None, list[int]]:
    """A `DetDataSample`'s panoptic map with its segments numbered from 1, and the class of each."""
    found = None if sample is None else sample.get('pred_panoptic_seg')
    if found is None:
        return None, []
    ids, segments = np.unique(found.sem_seg.squeeze(0).cpu().numpy(), return_inverse=True)
    labels = ids % INSTANCE_OFFSET
    numbers = np.where(labels < classes, np.cumsum(labels < classes), 0)
    panoptic = numbers[segments.reshape(found.sem_seg.shape[-2:])].astype(np.int32)
    return panoptic, labels[labels < classes].tolist()
