"""Predicting a run's validation set with its best checkpoint, and keeping records of each image."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask
from torch import Tensor

from denseformer import pages
from denseformer.checkpoints.common import file_hash
from denseformer.checkpoints.writing import BEST, pointed_checkpoint
from denseformer.config.audit import import_custom_modules
from denseformer.config.loading import load_config
from denseformer.detection.mask2former import Mask2FormerSemanticHead
from denseformer.detection.metrics import PanopticMetric
from denseformer.detection.metrics.confusion import box_overlaps
from denseformer.detection.metrics.panoptic_quality import decode_prediction
from denseformer.engine.devices import use_device
from denseformer.engine.launch import build_runner
from denseformer.explain import errors
from denseformer.explain.analysis import class_pixels, image_f1, object_kinds
from denseformer.explain.records import (
    Arrays,
    Records,
    objects_record,
    panoptic_record,
    restoration_record,
    sampling_step,
    segmentation_record,
)
from denseformer.images.drawing import Color
from denseformer.inspection.outcomes import (
    INSTANCE_OFFSET,
    SURE,
    found_picture,
    input_picture,
    objects_picture,
    panoptic_picture,
    small_map,
    true_picture,
    write_legend,
)
from denseformer.options import LaunchOptions
from denseformer.restoration.metrics import PSNR
from denseformer.restoration.metrics.image_quality import ImageMetric, psnr
from denseformer.restoration.preprocessor import to_unit_range

FOLDER, RECORDS = 'explain', 'records.npz'
SIDE = 320
WORST = 24
"""Images of which pictures are kept, those of the lowest scores."""
RED: Color = (230, 40, 40)
YELLOW: Color = (250, 210, 40)


def records_of(run: Path, options: LaunchOptions) -> Records:
    """The records of a run's validation set: those in its folder where its best checkpoint and config, with the keys
    that `options` set, have made them, else new ones.

    Raises ValueError for a folder that is no run's.
    """
    checkpoint, config = best_checkpoint(run), resolved_config(run, options)
    digest, path = digest_of(config, checkpoint), run / FOLDER / RECORDS
    if path.is_file():
        kept = Records.load(path)
        if kept.digest == digest:
            return kept
    records = predict(config, checkpoint, run / FOLDER, options)
    records.checkpoint, records.digest = checkpoint.resolve().name, digest
    records.save(path)
    return records


def resolved_config(run: Path, options: LaunchOptions) -> Config:
    """The config of a run with the keys that the options set; where the run lay and how it began is left out."""
    config = load_config(str(config_of(run)), options.cfg_options)  # which was audited when the run began
    for key in ('work_dir', 'load_from', 'resume', 'launcher'):
        config.pop(key, None)
    return config


def digest_of(config: Config, checkpoint: Path) -> str:
    """A hash of a checkpoint and of what it is asked to predict."""
    content = json.dumps(config.to_dict(), sort_keys=True, default=str)
    return hashlib.sha1(f'{file_hash(checkpoint)} {content}'.encode(), usedforsecurity=False).hexdigest()


def best_checkpoint(run: Path) -> Path:
    """`best.pth` of a run's folder, else its newest checkpoint."""
    best = run / BEST
    found = best if best.is_file() else pointed_checkpoint(run)
    if found is None or not found.is_file():
        raise ValueError(f'{run}: holds neither best.pth nor a last_checkpoint; is it the --work-dir of a run?')
    return found


def config_of(run: Path) -> Path:
    """The config that a run keeps in its folder, of several the newest."""
    found = sorted(run.glob('*.py'), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ValueError(f'{run}: holds no config; is it the --work-dir of a run?')
    return found[-1]


def predict(config: Config, checkpoint: Path, folder: Path, options: LaunchOptions) -> Records:
    """Predict the validation set of a config, and keep records and pictures of the worst images in `folder`."""
    import_custom_modules(config)
    config.work_dir, config.launcher, config.resume = str(folder), 'none', False
    use_device(options.device)
    if not config.get('val_dataloader'):
        raise ValueError(f'{config.filename}: has no val_dataloader to explain.')
    config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator
    config.test_cfg = dict(type='TestLoop')
    config.load_from = str(checkpoint)
    runner = build_runner(config, options)
    hook = RecordsHook(folder)
    runner.register_hook(hook, priority='LOWEST')
    metrics = runner.test()
    hook.records.metrics = {name: float(value) for name, value in metrics.items()}
    return hook.records


class RecordsHook(Hook):
    """Keeps a record of every image of a test, and in `folder` pictures of the worst ones."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.records = Records('')
        self.worst: list[tuple[float, int]] = []

    def before_test(self, runner: Runner) -> None:
        dataset = runner.test_dataloader.dataset
        meta = dataset.metainfo or {}
        self.classes = list(meta.get('classes') or ())
        self.palette = meta.get('palette')
        preprocessor = runner.cfg.model.get('data_preprocessor') or {}
        self.turn = bool(preprocessor.get('bgr_to_rgb'))
        for old in self.folder.glob('worst_*.jpg'):
            old.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_legend(self.folder, self.classes, self.palette)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for given, inputs, sample in zip(data_batch['data_samples'], data_batch['inputs'], outputs, strict=True):
            self._keep(runner, inputs, given, sample)

    def _keep(self, runner: Runner, inputs: Tensor, given: Any, sample: Any) -> None:
        index, records = len(self.records.images), self.records
        totals: Arrays = {}
        picture = input_picture(inputs[: 3 if len(inputs) > 3 else None], self.turn, SIDE)
        pictures = {'input': picture}
        if 'pred_sem_seg' in sample:
            records.task = 'segmentation'
            records.classes = self.classes
            labels, found = (getattr(sample, key).data[0].cpu().numpy() for key in ('gt_sem_seg', 'pred_sem_seg'))
            head = runner.model.decode_head
            chances = class_probabilities(sample.seg_logits.data, head, sampling_step(labels.shape))
            arrays, totals = segmentation_record(chances, found.astype(np.int64), labels, head.ignore_index)
            pictures['errors'] = wrong_pixels(picture, labels, found, head.ignore_index)
            score = image_miou(arrays, len(self.classes))
        elif 'pred_panoptic_seg' in sample:
            records.task, records.classes = 'panoptic', self.classes
            metric = next(m for m in runner.test_evaluator.metrics if isinstance(m, PanopticMetric))
            truth = metric.truth(sample.img_id)
            found = decode_prediction(sample.pred_panoptic_seg.sem_seg.cpu().numpy()[0], len(self.classes))
            arrays = panoptic_record(truth, found, len(self.classes))
            shown = np.array([len(self.classes), *(truth.labels + INSTANCE_OFFSET * np.arange(len(truth.labels)))])
            pictures['truth'] = panoptic_picture(picture, shown[truth.numbers], self.classes, self.palette)
            iou, right, extra, lost = arrays['quality'].sum(0)
            score = iou / max(right + (extra + lost) / 2, 1e-9)
        elif 'pred_instances' in sample:
            records.task, records.classes = 'detection', self.classes
            arrays = instances(sample, runner.test_dataloader.dataset.get_data_info(index)['instances'])
            true = InstanceData(bboxes=arrays['true_boxes'], labels=arrays['true_labels'])
            pictures['truth'] = objects_picture(picture, true, sample.ori_shape, self.classes, self.palette)
            score = surely_right(arrays, len(self.classes))
        else:
            records.task = 'restoration'
            arrays, pictures['error in dB'] = restored(runner, inputs, sample, picture)
            score = float(arrays['psnr'])
        records.add(str(sample.get('img_path') or sample.get('gt_path')), arrays, totals)
        self._keep_pictures(index, float(score), pictures, picture, given, sample)

    def _keep_pictures(
        self, index: int, score: float, pictures: dict[str, np.ndarray], picture: np.ndarray, given: Any, sample: Any
    ) -> None:
        """Write the pictures of an image that is among the worst so far, and delete those of one that no longer is."""
        self.worst.append((score, index))
        self.worst.sort()
        if (score, index) in self.worst[:WORST]:
            truth = true_picture(picture, given, self.classes, self.palette)
            if truth is not None:
                pictures['truth'] = truth
            pictures['found'] = found_picture(picture, sample, self.classes, self.palette)
            for place, (kind, drawn) in enumerate(pictures.items()):
                (self.folder / f'worst_{index}_{place}_{kind}.jpg').write_bytes(pages.jpeg(drawn))
        for _, other in self.worst[WORST:]:
            for path in self.folder.glob(f'worst_{other}_*.jpg'):
                path.unlink()
        del self.worst[WORST:]


def class_probabilities(scores: Tensor, head: Any, step: int) -> np.ndarray:
    """Scores of a segmentor (K, H, W) as probabilities of each `step`-th pixel, (K, h, w); two classes of one logit."""
    scores = scores[:, ::step, ::step].float()
    if len(scores) == 1:  # the chance of the one class, which mmsegmentation returns in the place of scores
        chances = torch.cat([1 - scores, scores])
    elif isinstance(head, Mask2FormerSemanticHead):  # sums over masks, of which none may lie on a pixel
        chances = scores / scores.sum(0).clamp(min=1e-6)
    else:
        chances = scores.softmax(0)
    return chances.cpu().numpy()


def image_miou(arrays: Mapping[str, np.ndarray], classes: int) -> float:
    both, true, found = class_pixels(arrays['pairs'], classes)
    return float(np.mean((both / np.maximum(true + found - both, 1))[true > 0])) if true.any() else 1.0


def surely_right(arrays: Arrays, classes: int) -> float:
    """F1 of what is found in an image with a score of at least `SURE`."""
    alone = Records('detection', [''] * classes, [''], [arrays])
    kinds, missed, _ = object_kinds(alone, np.full(classes, SURE))
    return float(image_f1(alone, kinds, missed)[0])


def wrong_pixels(picture: np.ndarray, labels: np.ndarray, found: np.ndarray, ignored: int) -> np.ndarray:
    """`picture` (h, w, 3) with wrong pixels of maps (H, W) in red, and in yellow those at boundaries."""
    wrong = (labels != ignored) & (labels != found)
    kinds = small_map((wrong * (1 + errors.boundary_band(labels))).astype(np.uint8), picture)
    drawn = picture // 2
    drawn[kinds == 1], drawn[kinds == 2] = RED, YELLOW
    return drawn


def instances(sample: Any, truth: list[Mapping[str, Any]]) -> Arrays:
    """The record of a detector's image: overlaps of masks where both sides have them, else of boxes."""
    found = sample.pred_instances.cpu()
    height, width = sample.ori_shape[:2]
    boxes = found.bboxes.numpy().astype(np.float64)
    true_boxes = np.array([row['bbox'] for row in truth], np.float64).reshape(-1, 4)
    true_labels = np.array([row['bbox_label'] for row in truth], np.int64)
    ignored = np.array([bool(row.get('ignore_flag')) for row in truth], bool)
    areas = (true_boxes[:, 2] - true_boxes[:, 0]) * (true_boxes[:, 3] - true_boxes[:, 1])
    if 'masks' in found and truth and all('mask' in row for row in truth):
        masks = [run_lengths(row['mask'], height, width) for row in truth]
        areas = coco_mask.area(masks).astype(float)
        mine = [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in np.asarray(found.masks)]
        overlaps = coco_mask.iou(mine, masks, ignored.astype(np.uint8).tolist()) if mine else np.zeros((0, len(truth)))
    else:
        overlaps = box_overlaps(boxes, true_boxes, ignored)
    return objects_record(
        boxes=boxes,
        labels=found.labels.numpy(),
        scores=found.scores.numpy(),
        true_boxes=true_boxes,
        true_labels=true_labels,
        ignored=ignored | (areas == 0),
        areas=areas,
        overlaps=np.asarray(overlaps),
    )


def run_lengths(mask: Any, height: int, width: int) -> Any:
    """A mask of COCO's, polygons or run lengths, as pycocotools' run lengths; an empty one where it has no outline."""
    if isinstance(mask, Mapping):
        return coco_mask.frPyObjects(dict(mask), height, width) if isinstance(mask['counts'], list) else mask
    polygons = [polygon for polygon in mask if len(polygon) >= 6]
    if not polygons:
        return coco_mask.encode(np.zeros((height, width), np.uint8, order='F'))
    return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))


def restored(runner: Runner, inputs: Tensor, sample: Any, picture: np.ndarray) -> tuple[Arrays, np.ndarray]:
    """The record of a restored image, and a picture of its error: bright is a low PSNR around a pixel, 15 to 45 dB."""
    metric = next((m for m in runner.test_evaluator.metrics if isinstance(m, PSNR)), None)
    measured = metric.options if isinstance(metric, ImageMetric) else {'protocol': 'rgb', 'crop_border': 0}
    made = sample.pred_img.cpu()
    target = sample.gt_img.cpu()[:, : made.shape[1], : made.shape[2]]
    given = psnr(inputs, target, **measured) if inputs.shape == target.shape else np.nan
    shown, wanted = (np.moveaxis(to_unit_range(image).numpy(), 0, 2) for image in (made.clamp(0, 1), target))
    arrays = restoration_record(shown, wanted, psnr(made, target, **measured), given)
    level = 255 * (1 - (errors.error_map(shown, wanted) - 15) / 30).clip(0, 1)
    drawn = cv2.applyColorMap(small_map(level.astype(np.uint8), picture), cv2.COLORMAP_INFERNO)[..., ::-1]
    return arrays, np.ascontiguousarray(drawn)
