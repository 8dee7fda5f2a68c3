"""A contact sheet of what the network will see: samples after augmentation, with their labels drawn on them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry.utils import init_default_scope

from denseformer.config.audit import import_custom_modules
from denseformer.datasets.building import build_dataset
from denseformer.inspection.learnable import check_learnable
from denseformer.seeding import SAMPLE, derive_seed, seeded

IGNORED = 255
GAP = 4


def write_sheet(config: Config, out: str | Path, *, count: int = 16, split: str = 'train', seed: int = 0) -> None:
    """Draw `count` samples of a split, evenly spread over it, to an image file.

    Raises ValueError when the config has no such split, nothing can be learned from it, or the file cannot be written.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    import_custom_modules(config)
    dataset = (config.get(f'{split}_dataloader') or {}).get('dataset')
    if dataset is None:
        raise ValueError(f'{config.filename} has no {split}_dataloader.')
    turn = bool(((config.get('model') or {}).get('data_preprocessor') or {}).get('bgr_to_rgb'))
    built = build_dataset(dataset)
    check_learnable(built)
    pictures = list(draw_samples(built, count, seed, turn))
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.haveImageWriter(str(out)) or not cv2.imwrite(str(out), arrange(pictures)[..., ::-1]):
        raise ValueError(f'{out}: could not be written; choose a .png or .jpg file.')


def draw_samples(dataset: Any, count: int, seed: int, turn: bool) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 pictures in R, G, B; `turn`: the dataset hands over B, G, R."""
    palette = (dataset.metainfo or {}).get('palette')
    for place, index in enumerate(np.linspace(0, len(dataset) - 1, count).astype(int).tolist()):
        with seeded(derive_seed(seed, SAMPLE, place)):
            sample = dataset[index]
        yield picture(sample, palette, turn)


def picture(sample: Mapping[str, Any], palette: Sequence | None, turn: bool) -> np.ndarray:
    """One sample with its label map, boxes or target."""
    image = as_picture(sample['inputs'])
    image = np.ascontiguousarray(image[..., ::-1]) if turn else image
    labels = sample['data_samples']
    if 'gt_sem_seg' in labels:
        image = paint(image, labels.gt_sem_seg.data.squeeze(0).numpy(), palette)
    if 'gt_instances' in labels and 'bboxes' in labels.gt_instances:
        boxes = labels.gt_instances.bboxes
        for box in getattr(boxes, 'tensor', boxes).round().int().tolist():
            cv2.rectangle(image, box[:2], box[2:], (255, 64, 0), 2)
    if 'gt_img' in labels:
        target = as_picture(labels.gt_img)
        height, width = target.shape[:2]
        enlarged = cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST)
        image = np.concatenate([enlarged, np.full((height, GAP, 3), 255, np.uint8), target], axis=1)
    return image


def as_picture(tensor: Any) -> np.ndarray:
    """(C, H, W), floating in [0, 1] or integers of full range, to (H, W, 3) uint8."""
    array = tensor.permute(1, 2, 0).numpy()
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        array = (array.clip(0, 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)) if array.shape[2] == 1 else array)


def paint(image: np.ndarray, labels: np.ndarray, palette: Sequence | None) -> np.ndarray:
    """Color each labelled pixel half by its class; what is ignored stays as it is."""
    known = np.random.default_rng(0).integers(0, 256, (IGNORED, 3)) if palette is None else np.asarray(palette)
    colors = np.zeros((max(256, int(labels.max()) + 1), 3), np.uint8)
    colors[: len(known)] = known
    mixed = (image.astype(np.uint16) + colors[labels]) // 2
    return np.where((labels == IGNORED)[..., None], image, mixed).astype(np.uint8)


def arrange(pictures: Sequence[np.ndarray], side: int = 320) -> np.ndarray:
    """Pictures of any size in a grid, none larger than `side`, on white."""
    small = [shrink(image, side) for image in pictures]
    columns = int(np.ceil(np.sqrt(len(small))))
    height, width = (max(image.shape[axis] for image in small) + GAP for axis in (0, 1))
    sheet = np.full((height * -(-len(small) // columns), width * columns, 3), 255, np.uint8)
    for i, image in enumerate(small):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    factor = min(1.0, side / max(image.shape[:2]))
    size = tuple(max(1, round(length * factor)) for length in image.shape[1::-1])
    return image if factor == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
