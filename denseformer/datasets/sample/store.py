"""The sample set on disk: ADE20K's layout for semantic labels, COCO's json for instances and panoptic segments.

images/{training,validation}/*.jpg         the pictures
annotations/{training,validation}/*.png    class indices, 255 ignored
instances_{training,validation}.json       boxes and polygons
panoptic_{training,validation}.json, panoptic_{training,validation}/*.png
manifest.json                              what was asked for; written last
"""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from filelock import FileLock

from denseformer.datasets.sample.annotations import CATEGORIES, instance_annotations, panoptic_segments
from denseformer.datasets.sample.scene import Scene, draw_scene

VERSION = 3  # raised whenever the drawing or the layout changes
MANIFEST = 'manifest.json'
SMALLEST_SIZE = 64
SPLITS = ('training', 'validation')


def ensure_sample_set(
    root: str | Path = 'data/sample', *, train: int = 240, val: int = 60, size: int = 160, seed: int = 0
) -> Path:
    """Draw the sample set into `root` unless it is there already, and return `root`.

    The same arguments give the same pictures and labels on every machine, and the same bytes where OpenCV is the same.
    A set that was drawn with other arguments or by another version, or that has lost files, is replaced as a whole: it
    is drawn beside `root` and renamed. Processes that ask at the same time wait for the first.

    Args:
        train: number of training pictures.
        val: number of validation pictures.
        size: side of the pictures in pixels, at least 64; the pieces grow with it, the grain of the materials does not.
        seed: another seed, another set.

    Raises ValueError for impossible arguments and FileExistsError where `root` holds something else.
    """
    if min(train, val) < 1 or size < SMALLEST_SIZE or seed < 0:
        raise ValueError(
            f'The sample set needs train >= 1, val >= 1, size >= {SMALLEST_SIZE} and seed >= 0; '
            f'got train={train}, val={val}, size={size}, seed={seed}.'
        )
    root = Path(root)
    wanted = {'version': VERSION, 'train': train, 'val': val, 'size': size, 'seed': seed}
    if not is_complete(root, wanted):
        place = root.resolve()  # where a link points to
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(beside(place, 'lock')):
            if not is_complete(place, wanted):
                refuse_foreign(place)
                replace_set(place, wanted)
    return root


def replace_set(root: Path, wanted: dict[str, int]) -> None:
    """Draw beside `root` and rename; whatever stops this half-way leaves no half set in `root`."""
    fresh, old = beside(root, 'new'), beside(root, 'old')
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    write_set(fresh, wanted)
    if root.exists():
        root.rename(old)
    fresh.rename(root)
    shutil.rmtree(old, ignore_errors=True)


def beside(root: Path, suffix: str) -> Path:
    return root.parent / f'.{root.name}.{suffix}'


def is_complete(root: Path, wanted: dict[str, int]) -> bool:
    """True if `root` was drawn with these parameters and still has every file."""
    try:
        manifest = json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return manifest.get('parameters') == wanted and manifest.get('files') == count_files(root)


def count_files(root: Path) -> int:
    """The number of files below `root`, the manifest and hidden ones apart."""
    return sum(path.is_file() and path.name != MANIFEST and path.name[0] != '.' for path in root.rglob('*'))


def refuse_foreign(root: Path) -> None:
    """Never replace what this module has not written."""
    if root.is_dir() and ((root / MANIFEST).is_file() or not any(root.iterdir())):
        return
    if root.exists():
        raise FileExistsError(
            f"'{root}' exists and has no {MANIFEST} of the sample set, so it is left alone. "
            'Delete it, or choose another folder for the sample set.'
        )


def write_set(root: Path, wanted: dict[str, int]) -> None:
    for number, (split, count) in enumerate(zip(SPLITS, (wanted['train'], wanted['val']), strict=True)):
        write_split(root, split, scenes(count, size=wanted['size'], seed=(wanted['seed'], number)))
    manifest = {'parameters': wanted, 'files': count_files(root)}
    (root / MANIFEST).write_text(json.dumps(manifest, indent=1))


def scenes(count: int, *, size: int, seed: tuple[int, ...]) -> Iterator[Scene]:
    """Scenes in order; each has a generator of its own, so a longer set begins with the shorter one's pictures."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(lambda i: draw_scene(np.random.default_rng((*seed, i)), size), range(count))


def write_split(root: Path, split: str, pictures: Iterator[Scene]) -> None:
    folders = [root / kind / split for kind in ('images', 'annotations')] + [root / f'panoptic_{split}']
    for folder in folders:
        folder.mkdir(parents=True)
    images: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    panoptic: list[dict[str, Any]] = []
    for image_id, scene in enumerate(pictures, start=1):
        name = f'{split}_{image_id:04d}'
        colors, segments = panoptic_segments(scene)
        write_image(folders[0] / f'{name}.jpg', scene.image[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 92)
        write_image(folders[1] / f'{name}.png', scene.semantic)
        write_image(folders[2] / f'{name}.png', colors[..., ::-1])
        height, width = scene.semantic.shape
        images.append({'id': image_id, 'file_name': f'{name}.jpg', 'height': height, 'width': width})
        panoptic.append({'image_id': image_id, 'file_name': f'{name}.png', 'segments_info': segments})
        for annotation in instance_annotations(scene):
            instances.append({'id': len(instances) + 1, 'image_id': image_id, **annotation})
    things = [category for category in CATEGORIES if category['isthing']]
    write_json(root / f'instances_{split}.json', images, instances, things)
    write_json(root / f'panoptic_{split}.json', images, panoptic, CATEGORIES)


def write_image(path: Path, image: np.ndarray, *options: int) -> None:
    _, encoded = cv2.imencode(path.suffix, image, options)
    path.write_bytes(encoded.tobytes())


def write_json(path: Path, images: list, annotations: list, categories: list) -> None:
    info = {'description': "denseformer's sample set, drawn by code", 'version': str(VERSION)}
    content = {'info': info, 'images': images, 'annotations': annotations, 'categories': categories}
    path.write_text(json.dumps(content, separators=(',', ':')))
