"""Errors that detection datasets drop or misread silently: boxes without area or outside, references to nothing."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from denseformer.datasets.detection.voc import objects_in, read_xml
from denseformer.detection.coco_content import is_number

SLACK = 1.0
"""Pixels by which a box may leave its image: annotators round."""


def check_annotations(path: Path, images: Path) -> Iterator[str]:
    """Yield the errors in an annotation file, one sentence each."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        yield f'is no json file ({error})'
        return
    listed_images, annotations = rows(content, 'images'), rows(content, 'annotations')
    if listed_images is None or annotations is None:
        yield "is no COCO file: it needs lists of objects called 'images' and 'annotations'"
        return
    known = {repr(row.get('id')): row for row in listed_images}
    categories = {repr(row.get('id')) for row in rows(content, 'categories') or ()}
    yield from repeated('image', listed_images)
    for row in listed_images:
        yield from check_image(row, images)
    segments = [segment for row in annotations for segment in segments_of(row)]
    if not segments:
        yield from repeated('annotation', annotations)
    for row in segments or annotations:
        yield from check_annotation(row, known, categories)


def rows(content: Any, name: str) -> list[dict] | None:
    """A list of objects in a json document; None when there is no such thing."""
    found = content.get(name) if isinstance(content, dict) else None
    return found if isinstance(found, list) and all(isinstance(row, dict) for row in found) else None


def repeated(what: str, listed: list[dict]) -> Iterator[str]:
    counts = Counter(str(row.get('id')) for row in listed)
    yield from (f'{what} id {number} stands there {count} times' for number, count in counts.items() if count > 1)


def segments_of(row: Mapping[str, Any]) -> list[dict]:
    """The segments of a panoptic annotation, each with its image; ids are its own in each image only."""
    return [{**segment, 'image_id': row.get('image_id')} for segment in rows(row, 'segments_info') or ()]


def check_objects(path: str, width: int, height: int) -> Iterator[str]:
    """Yield the errors in the boxes of a Pascal VOC file whose image is this large."""
    for name, _, (left, top, right, bottom) in objects_in(read_xml(path)):
        box = [left, top, right - left, bottom - top]
        yield from check_box(f"an object '{name}'", box, {'width': width, 'height': height})


def check_image(row: Mapping[str, Any], images: Path) -> Iterator[str]:
    name = row.get('file_name')
    if not isinstance(name, str) or not name or '\0' in name:
        yield f'image {row.get("id")} has no legal file_name'
    elif PurePosixPath(name).is_absolute() or not (images / name).resolve().is_relative_to(images.resolve()):
        yield f"image {row.get('id')}: '{name}' leads outside {images}"
    elif not (images / name).is_file():
        yield f"image {row.get('id')}: there is no file '{images / name}'"
    stated = [row[side] for side in ('width', 'height') if side in row]  # what is not stated follows from the file
    if not all(is_number(side) and side > 0 for side in stated):
        yield f'image {row.get("id")} has no width and height above 0'


def check_annotation(row: Mapping[str, Any], images: Mapping, categories: set) -> Iterator[str]:
    name = f'annotation {row.get("id")}'
    image = images.get(repr(row.get('image_id')))
    if image is None:
        yield f'{name} belongs to image {row.get("image_id")}, which is not listed'
    if categories and repr(row.get('category_id')) not in categories:
        yield f'{name} is of category {row.get("category_id")}, which is not listed'
    box = row.get('bbox')
    if box is not None:
        yield from check_box(name, box, image or {})
    polygons = row.get('segmentation')
    if isinstance(polygons, list):
        yield from (f'{name} has a {fault}' for fault in map(polygon_fault, polygons) if fault)


def check_box(name: str, box: Any, image: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        yield f'{name}: its box {box} is not four numbers'
        return
    x, y, width, height = box
    if width <= 0 or height <= 0:
        yield f'{name}: its box {box} has no area'
    sides: list[Any] = [image.get('width'), image.get('height')]
    if all(is_number(side) and side > 0 for side in sides) and (
        min(x, y) < -SLACK or x + width > sides[0] + SLACK or y + height > sides[1] + SLACK
    ):
        yield f'{name}: its box {box} leaves its image of {sides[0]} x {sides[1]}'


def polygon_fault(points: Any) -> str:
    """The error in a polygon [x1, y1, x2, y2, ...]; empty when there is none."""
    if not isinstance(points, list) or not all(map(is_number, points)) or len(points) % 2:
        return 'polygon that is no list of x and y'
    if len(points) < 6:
        return f'polygon of {len(points) // 2} points'
    x, y = points[::2], points[1::2]
    twice = sum(x[i - 1] * y[i] - x[i] * y[i - 1] for i in range(len(x)))
    return '' if abs(twice) > 1e-6 else 'polygon without area'
