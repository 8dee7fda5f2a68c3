"""AP of a detector that sees mosaics of its validation images whole, in tiles, and with test-time augmentation.

A mosaic of k x k images, each as large as the network is given it, is a large image in which tiles cut objects, and of
which the truth is known. All ways see it at one scale.

python -m benchmarks.views CONFIG CHECKPOINT --tiles 160 240
"""

import argparse
import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from denseformer.datasets.building import build_dataset
from denseformer.engine import load_config
from denseformer.inference import Predictor

SCORE = 0.3
"""The score from which objects are counted as found, as `denseformer infer` does."""


@dataclass(frozen=True, eq=False)
class Mosaic:
    """pixels: (H, W, 3) uint8, B, G, R; boxes: (n, 4) left, top, right, bottom; labels: (n,)."""

    pixels: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def mosaics(dataset: Any, side: int) -> Iterator[Mosaic]:
    """Mosaics of side x side images of a dataset, as its pipeline gives them to the network, B, G, R."""
    for start in range(0, len(dataset) - side**2 + 1, side**2):
        parts = [dataset[start + i] for i in range(side**2)]
        images = [part['inputs'].permute(1, 2, 0).numpy() for part in parts]
        h, w = (max(image.shape[axis] for image in images) for axis in (0, 1))
        pixels = np.zeros((side * h, side * w, 3), np.uint8)
        boxes, labels = [], []
        for i, (image, part) in enumerate(zip(images, parts, strict=True)):
            top, left = i // side * h, i % side * w
            pixels[top : top + image.shape[0], left : left + image.shape[1]] = image
            across, down = part['data_samples'].scale_factor
            for row in dataset.get_data_info(start + i)['instances']:
                if not row['ignore_flag']:
                    boxes.append(np.array(row['bbox']) * (across, down, across, down) + (left, top, left, top))
                    labels.append(row['bbox_label'])
        yield Mosaic(pixels, np.array(boxes).reshape(-1, 4), np.array(labels, int))


def as_coco(scenes: list[Mosaic], classes: int) -> COCO:
    """The truth as pycocotools takes it."""
    rows = [
        {'image_id': i, 'category_id': int(label), 'bbox': corner_and_size(box), 'iscrowd': 0}
        for i, scene in enumerate(scenes)
        for box, label in zip(scene.boxes, scene.labels, strict=True)
    ]
    truth = COCO()
    truth.dataset = {
        'images': [{'id': i} for i in range(len(scenes))],
        'categories': [{'id': i, 'name': str(i)} for i in range(classes)],
        'annotations': [{'id': i, 'area': row['bbox'][2] * row['bbox'][3], **row} for i, row in enumerate(rows, 1)],
    }
    truth.createIndex()
    return truth


def corner_and_size(box: np.ndarray) -> list[float]:
    return [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]


def measure(predictor: Predictor, scenes: list[Mosaic], truth: COCO) -> tuple[float, float, int]:
    """AP, AP at an IoU of 0.5, and the number of objects found from `SCORE` on."""
    rows = []
    for i, scene in enumerate(scenes):
        (result,) = predictor(scene.pixels)
        found = result.instances
        rows += [
            {'image_id': i, 'category_id': int(label), 'bbox': corner_and_size(box), 'score': float(score)}
            for box, label, score in zip(found.boxes, found.labels, found.scores, strict=True)
        ]
    evaluation = COCOeval(truth, truth.loadRes(rows), 'bbox')
    evaluation.params.maxDets = [1, 100, 1000]  # a mosaic has many
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval['precision'][..., 0, -1]  # (IoU thresholds, recalls, classes)
    found_by_score = sum(row['score'] >= SCORE for row in rows)
    return float(precision[precision > -1].mean()), float(precision[0][precision[0] > -1].mean()), found_by_score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--side', type=int, default=2, help='images along each side of a mosaic')
    parser.add_argument('--tiles', type=int, nargs='*', default=[240], help='sides of the tiles')
    parser.add_argument('--data-root', help="in place of the config's")
    options = parser.parse_args()
    config = load_config(options.config, {'data_root': options.data_root} if options.data_root else {})
    predictors = [
        ('whole', {}),
        ('whole, and mirrored', {'tta': True}),
        *((f'in tiles of {tile}', {'tile': tile}) for tile in options.tiles),
    ]
    first = Predictor(config, options.checkpoint, native=True, score=0)  # knows the scope of the dataset's config
    with contextlib.redirect_stdout(io.StringIO()):
        scenes = list(mosaics(build_dataset(config.val_dataloader.dataset), options.side))
        truth = as_coco(scenes, len(first.task.classes))
    print(f'{len(scenes)} mosaics, {len(truth.anns)} objects')
    for name, settings in predictors:
        predictor = Predictor(config, options.checkpoint, native=True, score=0, **settings)
        with contextlib.redirect_stdout(io.StringIO()):
            ap, ap50, count = measure(predictor, scenes, truth)
        print(f'| {name} | {ap:.3f} | {ap50:.3f} | {count} |', flush=True)


if __name__ == '__main__':
    main()
