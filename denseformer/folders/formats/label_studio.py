"""Label Studio's json exports, the full one and JSON-MIN: rectangles and polygons as percent of width and height."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from denseformer.folders.found import Found, Sample, Thing, found_things, polygon_thing
from denseformer.folders.listing import Listing, is_rows, split_of

EXPECTED = "Label Studio: a json list of tasks with 'data' and 'annotations', or JSON-MIN's with 'image' and 'label'"
UPLOADED = re.compile(r'^[0-9a-f]{8}-')
"""The prefix that Label Studio gives to uploaded files."""
SHAPES = ('rectanglelabels', 'polygonlabels', 'labels')


def recognize(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    files = [file for file in listing.ending('.json') if is_export(listing.json(file))]
    if not files:
        return None
    samples, faults, left_out = [], [], 0
    for file in files:
        for row in listing.json(file):
            said = image_of(row)
            image = find(listing, said, file)
            if image is None:
                faults.append(f"{file}: the image '{said}' is not there")
                continue
            shapes = list(shapes_of(row))
            size = listing.size(image) if shapes else None
            things = [thing_of(shape, size) for shape in shapes if size]
            left_out += things.count(None)
            samples.append(Sample(image, split_of(image), things=tuple(t for t in things if t), size=size))
    notes = [f'{left_out} brushes, points, choices and turned boxes are left out'] if left_out else []
    return found_things('Label Studio json', listing, samples, names, faults, notes)


def is_export(content: Any) -> bool:
    if not is_rows(content) or not content:
        return False
    return all(isinstance(row.get('data'), Mapping) and is_rows(row.get('annotations')) for row in content) or all(
        isinstance(row.get('image'), str) and ('label' in row or 'annotator' in row) for row in content
    )


def image_of(row: Mapping[str, Any]) -> str:
    """The address of a task's image: that under 'image', or else the first text of its data."""
    data = row.get('data') or row
    return str(data.get('image') or next((value for value in data.values() if isinstance(value, str)), ''))


def find(listing: Listing, said: str, near: str) -> str | None:
    said = unquote(said.partition('?')[0] if '?d=' not in said else said.partition('?d=')[2])
    path = PurePosixPath(said)
    return listing.find_image(said, near) or listing.find_image(f'{path.parent}/{UPLOADED.sub("", path.name)}', near)


def shapes_of(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The values of what was drawn: of the last annotation that was not cancelled, or of JSON-MIN's lists of them.

    Projects with tools and labels apart store a shape once with its label and once, under the same id, without.
    """
    if 'annotations' in row:
        kept = [work for work in row['annotations'] if not work.get('was_cancelled')]
        drawn = (kept[-1].get('result') or ()) if kept else ()
        labelled = {part['id'] for part in drawn if 'id' in part and labels_of(part.get('value', {}))}
        values = ((part.get('id'), part.get('value', {})) for part in drawn)
        yield from (value for number, value in values if labels_of(value) or number not in labelled)
    else:
        yield from (shape for part in row.values() if is_rows(part) for shape in part)


def labels_of(value: Mapping[str, Any]) -> Sequence[str]:
    return next((value[kind] for kind in SHAPES if value.get(kind)), ())


def thing_of(value: Mapping[str, Any], size: tuple[int, int]) -> Thing | None:
    """The object of a rectangle or polygon; None for other shapes, and for rectangles that are turned."""
    labels = labels_of(value)
    if not labels or value.get('rotation') or not ('points' in value or 'width' in value):
        return None
    width, height = size[0] / 100, size[1] / 100
    if 'points' in value:
        return polygon_thing(labels[0], [(x * width, y * height) for x, y in value['points']])
    box = value['x'] * width, value['y'] * height, value['width'] * width, value['height'] * height
    return Thing(labels[0], box)
