"""The drawn sample set written out in the formats that other programs label in: a few scenes, two or three classes."""

import csv
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from denseformer.datasets.sample.annotations import CATEGORIES, instance_annotations, panoptic_segments
from denseformer.datasets.sample.classes import CLASSES, IGNORED, PALETTE
from denseformer.datasets.sample.scene import Scene, draw_scene

SIDE = 64
COUNT = 6


@cache
def scenes(count: int = COUNT) -> tuple[Scene, ...]:
    return tuple(draw_scene(np.random.default_rng((7, i)), SIDE) for i in range(count))


def stem(i: int) -> str:
    return f'scene{i}'


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_image(path: Path, image: np.ndarray, palette: Sequence[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(image)
    if palette is not None:
        picture.putpalette(palette)
    picture.save(path)


def images(root: Path, folder: str = 'images', suffix: str = '.jpg') -> Path:
    for i, scene in enumerate(scenes()):
        write_image(root / folder / f'{stem(i)}{suffix}', scene.image)
    return root


def split_images(root: Path, pattern: str = '{split}/images') -> Path:
    for i, scene in enumerate(scenes()):
        write_image(root / pattern.format(split=split(i)) / f'{stem(i)}.jpg', scene.image)
    return root


def split(i: int) -> str:
    return 'train' if i < 4 else 'valid'


def objects(i: int) -> list[dict]:
    """COCO rows of the things of a scene."""
    return instance_annotations(scenes()[i])


def named(row: dict) -> str:
    return CLASSES[row['category_id'] - 1]


def ring(row: dict) -> list[tuple[float, float]]:
    """The longest outline of an object, as points."""
    outline = max(row['segmentation'], key=len)
    return list(zip(outline[::2], outline[1::2], strict=True))


THINGS = tuple(sorted({named(row) for i in range(COUNT) for row in objects(i)}))
OBJECTS = sum(len(objects(i)) for i in range(COUNT))


def index_masks(root: Path) -> Path:
    for i, scene in enumerate(scenes()):
        write_image(images(root) / 'masks' / f'{stem(i)}.png', scene.semantic)
    write(root / 'classes.txt', '\n'.join(CLASSES) + '\n')
    return root


def palette_masks(root: Path) -> Path:
    for i, scene in enumerate(scenes()):
        colors = np.resize(np.array(PALETTE, np.uint8).ravel(), 768).tolist()  # a short one would lose 255
        write_image(split_images(root) / split(i) / 'masks' / f'{stem(i)}.png', scene.semantic, colors)
    return root


def color_masks(root: Path) -> Path:
    table = np.zeros((256, 3), np.uint8)
    table[: len(PALETTE)] = PALETTE
    for i, scene in enumerate(scenes()):
        write_image(images(root) / 'labels' / f'{stem(i)}_L.png', table[scene.semantic])
    rows = [(name, *color) for name, color in zip(CLASSES, PALETTE, strict=True)]
    with (root / 'class_dict.csv').open('w', newline='') as file:
        csv.writer(file).writerows([('name', 'r', 'g', 'b'), *rows])
    return root


def cvat_masks(root: Path) -> Path:
    table = np.zeros((256, 3), np.uint8)
    table[1 : 1 + len(PALETTE)] = PALETTE
    for i, scene in enumerate(scenes()):
        labels = np.where(scene.semantic == IGNORED, 0, scene.semantic + 1)
        write_image(images(root, 'JPEGImages') / 'SegmentationClass' / f'{stem(i)}.png', table[labels])
        write_image(root / 'SegmentationObject' / f'{stem(i)}.png', scene.instances.astype(np.uint8))
    write_image(root / 'JPEGImages' / 'unlabelled.jpg', scenes()[0].image)
    rows = [('background', (0, 0, 0)), *zip(CLASSES, PALETTE, strict=True)]
    lines = [f'{name}:{",".join(map(str, color))}::' for name, color in rows]
    write(root / 'labelmap.txt', '# label:color_rgb:parts:actions\n' + '\n'.join(lines))
    return root


def binary_masks(root: Path) -> Path:
    for i, scene in enumerate(scenes()):
        write_image(images(root, '.') / f'{stem(i)}_mask.png', np.where(scene.instances > 0, 255, 0).astype(np.uint8))
    return root


def class_masks(root: Path) -> Path:
    for i, scene in enumerate(scenes()):
        for label in (5, 6, 7):
            mask = np.where(scene.semantic == label, 255, 0).astype(np.uint8)
            write_image(images(root) / 'masks' / CLASSES[label] / f'{stem(i)}.png', mask)
    return root


def cityscapes(root: Path) -> Path:
    for i, scene in enumerate(scenes()):
        part, name = 'train' if i < 4 else 'val', f'bonn_{i:06d}_000019'
        write_image(root / 'leftImg8bit' / part / 'bonn' / f'{name}_leftImg8bit.png', scene.image)
        write_image(root / 'gtFine' / part / 'bonn' / f'{name}_gtFine_labelTrainIds.png', scene.semantic)
        write_image(root / 'gtFine' / part / 'bonn' / f'{name}_gtFine_color.png', scene.image)
    return root


def ade20k(root: Path) -> Path:
    for i, scene in enumerate(scenes()):
        part, name = ('training', f'ADE_train_{i:08d}') if i < 4 else ('validation', f'ADE_val_{i:08d}')
        write_image(root / 'images' / part / f'{name}.jpg', scene.image)
        labels = np.where(scene.semantic == IGNORED, 0, scene.semantic + 1).astype(np.uint8)
        write_image(root / 'annotations' / part / f'{name}.png', labels)
    return root


def coco(root: Path) -> Path:
    images(root)
    rows = [{'id': i, 'file_name': f'{stem(i)}.jpg', 'height': SIDE, 'width': SIDE} for i in range(COUNT)]
    annotations = [{'id': 0, 'image_id': i, **row} for i in range(COUNT) for row in objects(i)]
    for number, row in enumerate(annotations, 1):
        row['id'] = number
    categories = [row for row in CATEGORIES if row['name'] in THINGS]
    write(root / 'all.json', json.dumps({'images': rows, 'annotations': annotations, 'categories': categories}))
    return root


def roboflow_coco(root: Path) -> Path:
    for part in ('train', 'valid'):
        numbers = [i for i in range(COUNT) if split(i) == part]
        for i in numbers:
            write_image(root / part / f'{stem(i)}.jpg', scenes()[i].image)
        rows = [{'id': i, 'file_name': f'{stem(i)}.jpg', 'height': SIDE, 'width': SIDE} for i in numbers]
        found = [
            {'image_id': i, 'segmentation': [], **{k: row[k] for k in ('category_id', 'bbox', 'area')}}
            for i in numbers
            for row in objects(i)
        ]
        annotations = [{**row, 'id': number} for number, row in enumerate(found)]
        parent = {'id': 0, 'name': 'pieces', 'supercategory': 'none'}
        known = [{**row, 'supercategory': 'pieces'} for row in CATEGORIES if row['name'] in THINGS]
        content = {'images': rows, 'annotations': annotations, 'categories': [parent, *known]}
        write(root / part / '_annotations.coco.json', json.dumps(content))
    return root


def coco_panoptic(root: Path) -> Path:
    images(root)
    rows, annotations = [], []
    for i, scene in enumerate(scenes()):
        colors, segments = panoptic_segments(scene)
        write_image(root / 'panoptic' / f'{stem(i)}.png', colors)
        rows.append({'id': i, 'file_name': f'{stem(i)}.jpg', 'height': SIDE, 'width': SIDE})
        annotations.append({'image_id': i, 'file_name': f'{stem(i)}.png', 'segments_info': segments})
    write(root / 'panoptic.json', json.dumps({'images': rows, 'annotations': annotations, 'categories': CATEGORIES}))
    return root


def voc_text(i: int) -> str:
    found = []
    for row in objects(i):
        x, y, width, height = row['bbox']
        box = f'<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + width}</xmax><ymax>{y + height}</ymax>'
        found.append(f'<object><name>{named(row)}</name><bndbox>{box}</bndbox></object>')
    size = f'<size><width>{SIDE}</width><height>{SIDE}</height></size>'
    return f'<annotation><filename>{stem(i)}.jpg</filename>{size}{"".join(found)}</annotation>'


def voc(root: Path) -> Path:
    images(root, 'JPEGImages')
    for i in range(COUNT):
        write(root / 'Annotations' / f'{stem(i)}.xml', voc_text(i))
    for part, numbers in (('train', range(4)), ('val', range(4, COUNT))):
        write(root / 'ImageSets' / 'Main' / f'{part}.txt', ''.join(f'{stem(i)}\n' for i in numbers))
    return root


def roboflow_voc(root: Path) -> Path:
    for i, scene in enumerate(scenes()):
        write_image(root / split(i) / f'{stem(i)}.jpg', scene.image)
        write(root / split(i) / f'{stem(i)}.xml', voc_text(i))
    return root


def yolo(root: Path, polygons: bool = False) -> Path:
    split_images(root)
    for i in range(COUNT):
        lines = []
        for row in objects(i):
            x, y, width, height = (value / SIDE for value in row['bbox'])
            values = [x + width / 2, y + height / 2, width, height]
            if polygons:
                values = [value / SIDE for point in ring(row) for value in point]
            lines.append(f'{THINGS.index(named(row))} {" ".join(f"{value:.5f}" for value in values)}')
        write(root / split(i) / 'labels' / f'{stem(i)}.txt', '\n'.join(lines) + '\n')
    names = ''.join(f'  {i}: {name}\n' for i, name in enumerate(THINGS))
    write(root / 'data.yaml', f'train: ../train/images\nval: ../valid/images\nnc: {len(THINGS)}\nnames:\n{names}')
    return root


def yolo_polygons(root: Path) -> Path:
    return yolo(root, polygons=True)


def labelme(root: Path) -> Path:
    images(root, '.')
    for i in range(COUNT):
        shapes = [{'label': named(row), 'shape_type': 'polygon', 'points': ring(row)} for row in objects(i)]
        shapes.append({'label': 'note', 'shape_type': 'point', 'points': [[3, 3]]})
        content = {'imagePath': f'{stem(i)}.jpg', 'imageWidth': SIDE, 'imageHeight': SIDE, 'shapes': shapes}
        write(root / f'{stem(i)}.json', json.dumps(content))
    return root


def cvat(root: Path) -> Path:
    images(root)
    rows = []
    for i in range(COUNT):
        shapes = ''.join(
            f'<polygon label="{named(row)}" points="{";".join(f"{x},{y}" for x, y in ring(row))}"/>'
            for row in objects(i)
        )
        rows.append(f'<image id="{i}" name="{stem(i)}.jpg" width="{SIDE}" height="{SIDE}">{shapes}</image>')
    labels = ''.join(f'<label><name>{name}</name></label>' for name in THINGS)
    write(
        root / 'annotations.xml',
        f'<annotations><meta><task><labels>{labels}</labels></task></meta>{"".join(rows)}</annotations>',
    )
    return root


def label_studio(root: Path) -> Path:
    images(root)
    tasks = []
    for i in range(COUNT):
        drawn = []
        for row in objects(i):
            x, y, width, height = (100 * value / SIDE for value in row['bbox'])
            value = {'x': x, 'y': y, 'width': width, 'height': height, 'rotation': 0, 'rectanglelabels': [named(row)]}
            drawn.append({'type': 'rectanglelabels', 'value': value, 'original_width': SIDE, 'original_height': SIDE})
        data = {'image': f'/data/upload/1/0a1b2c3d-{stem(i)}.jpg'}
        tasks.append({'id': i, 'data': data, 'annotations': [{'result': drawn}]})
    write(root / 'export.json', json.dumps(tasks))
    return root


def label_studio_min(root: Path) -> Path:
    images(root)
    tasks = []
    for i in range(COUNT):
        drawn = [
            {'points': [[100 * x / SIDE, 100 * y / SIDE] for x, y in ring(row)], 'polygonlabels': [named(row)]}
            for row in objects(i)
        ]
        tasks.append({'id': i, 'image': f'/data/local-files/?d=set/{stem(i)}.jpg', 'label': drawn})
    write(root / 'export.json', json.dumps(tasks))
    return root


def pairs(root: Path) -> Path:
    images(root, 'target', '.png')
    for i, scene in enumerate(scenes()):
        write_image(root / 'input' / f'{stem(i)}.png', cv2.GaussianBlur(scene.image, (5, 5), 2))
    return root


def scaled_pairs(root: Path) -> Path:
    images(root, 'HR', '.png')
    for i, scene in enumerate(scenes()):
        write_image(root / 'LR_bicubic' / 'X2' / f'{stem(i)}x2.png', cv2.resize(scene.image, (SIDE // 2, SIDE // 2)))
    return root


def videos(root: Path) -> Path:
    """Three videos in the layout of DAVIS: a thing of a scene slides over its ground."""
    for video, scene in zip(('bear', 'dog', 'goat'), scenes(), strict=False):
        mask = scene.instances == 1
        for time in range(3):
            moved = np.roll(mask, 2 * time, 1)
            frame = np.where(moved[..., None], np.roll(scene.image, 2 * time, 1), scene.image)
            write_image(root / f'JPEGImages/480p/{video}/{time:05d}.jpg', frame)
            write_image(root / f'Annotations/480p/{video}/{time:05d}.png', 255 * moved.astype(np.uint8))
    return root


def alone(root: Path) -> Path:
    return images(root, '.', '.png')
