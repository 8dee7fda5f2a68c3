"""Pictures of a data sample, its labels, and what a model made of it, for any task, at the size of a thumbnail.

Thumbnails have no room for names: a legend stands in the folder beside them.

Legend: H W image; h w picture.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from denseformer.images.drawing import Color, LegendEntry, draw_instances, spread_colors, tinted
from denseformer.inspection.browse import as_picture, paint

INSTANCE_OFFSET = 1000
"""mmdetection's panoptic maps hold class + 1000 * instance."""
FOUND = ('pred_img', 'pred_sem_seg', 'pred_panoptic_seg', 'pred_instances')
"""Predictions that can be drawn, by their names in a data sample."""
LEGEND = 'legend.json'
SURE = 0.3
"""Score from which found objects are drawn."""


def input_picture(inputs: Any, turn: bool, side: int) -> np.ndarray:
    """The input of a network, (C, H, W), as (h, w, 3) uint8 R, G, B; `turn`: it is given B, G, R."""
    picture = as_picture(inputs.cpu())
    if picture.shape[2] != 3:
        picture = np.repeat(picture[..., :1], 3, 2)
    return resized(picture[..., ::-1] if turn else picture, side)


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture whose longer side is `side`, enlarged without smoothing."""
    factor = side / max(picture.shape[:2])
    size = tuple(max(1, round(length * factor)) for length in picture.shape[1::-1])
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return np.ascontiguousarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=method))


def found_picture(picture: np.ndarray, sample: Any, classes: Sequence[str], palette: Sequence | None) -> np.ndarray:
    """`picture` (h, w, 3) of the input with the prediction in `sample` on it; the restored image itself."""
    if 'pred_img' in sample:
        return of_size(as_picture(sample.pred_img.clamp(0, 1).cpu()), picture)
    if 'pred_sem_seg' in sample:
        labels = sample.pred_sem_seg.data.squeeze(0).cpu().numpy()
        return paint(picture, small_map(labels.astype(np.int32), picture), all_colors(classes, palette) or None)
    if 'pred_panoptic_seg' in sample:
        return panoptic_picture(picture, sample.pred_panoptic_seg.sem_seg.squeeze(0).cpu().numpy(), classes, palette)
    found = sample.pred_instances
    found = found[found.scores >= SURE].cpu()
    return objects_picture(picture, found, tuple(sample.ori_shape), classes, palette)


def true_picture(
    picture: np.ndarray, sample: Any, classes: Sequence[str], palette: Sequence | None
) -> np.ndarray | None:
    """`picture` with the labels in `sample` on it, or the true image itself; None where there are none."""
    if 'gt_img' in sample:
        return of_size(as_picture(sample.gt_img.cpu()), picture)
    if 'gt_sem_seg' in sample:
        labels = sample.gt_sem_seg.get('data', sample.gt_sem_seg.get('sem_seg'))
        labels = labels.squeeze(0).cpu().numpy().astype(np.int32)
        return paint(picture, small_map(labels, picture), all_colors(classes, palette) or None)
    if 'bboxes' in sample.get('gt_instances', ()):
        return objects_picture(picture, sample.gt_instances.cpu(), tuple(sample.img_shape), classes, palette)
    return None


def small_map(labels: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """A map (H, W) at the size of a picture (h, w, 3)."""
    return cv2.resize(labels, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def of_size(image: np.ndarray, picture: np.ndarray) -> np.ndarray:
    image = np.repeat(image[..., :1], 3, 2) if image.shape[2] != 3 else image
    return cv2.resize(np.ascontiguousarray(image), picture.shape[1::-1], interpolation=cv2.INTER_AREA)


def panoptic_picture(
    picture: np.ndarray, panoptic: np.ndarray, classes: Sequence[str], palette: Sequence | None
) -> np.ndarray:
    """`picture` in the colors of the segments of a map (H, W) of class + 1000 * instance."""
    values, numbers = np.unique(small_map(panoptic.astype(np.int32), picture), return_inverse=True)
    labels = values % INSTANCE_OFFSET
    known = labels < len(classes)
    places = np.where(known, np.cumsum(known), 0)
    colors = colors_of(labels[known], classes, palette)
    return tinted(picture, places[numbers].reshape(picture.shape[:2]), colors)


def objects_picture(
    picture: np.ndarray, objects: Any, size: tuple[int, ...], classes: Sequence[str], palette: Sequence | None
) -> np.ndarray:
    """`picture` with boxes, and masks where there are some; size: of the image that the boxes are measured in."""
    factors = np.array([picture.shape[1] / size[1], picture.shape[0] / size[0]] * 2)
    boxes = np.asarray(getattr(objects.bboxes, 'tensor', objects.bboxes)).reshape(-1, 4) * factors
    labels = np.asarray(objects.labels)
    masks = None
    if 'masks' in objects:
        whole = getattr(objects.masks, 'masks', objects.masks)
        masks = [small_map(np.asarray(mask).astype(np.uint8), picture).astype(bool) for mask in whole]
    return np.asarray(draw_instances(picture, boxes, None, colors_of(labels, classes, palette), masks))


def colors_of(labels: np.ndarray, classes: Sequence[str], palette: Sequence | None) -> list[Color]:
    known = all_colors(classes, palette)
    return [known[label] for label in labels]


def all_colors(classes: Sequence[str], palette: Sequence | None) -> list[Color]:
    """The color of each class, R, G, B, as the legend names it; a palette of another length belongs to other classes.

    mmdetection keeps its datasets' palette where a config names classes of its own.
    """
    if palette is None or len(palette) != len(classes):
        return spread_colors(len(classes))
    return [(int(r), int(g), int(b)) for r, g, b in palette]


def write_legend(folder: Path, classes: Sequence[str], palette: Sequence | None) -> None:
    """Keep names and colors of classes beside the pictures in `folder`."""
    entries = list(zip(classes, all_colors(classes, palette), strict=True))
    (folder / LEGEND).write_text(json.dumps(entries))


def read_legend(folder: Path) -> list[LegendEntry]:
    """The names and colors that `write_legend` kept; none where it did not."""
    path = folder / LEGEND
    return [(name, tuple(color)) for name, color in json.loads(path.read_text())] if path.is_file() else []
