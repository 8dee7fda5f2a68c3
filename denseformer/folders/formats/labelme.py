"""LabelMe's json files, one an image: polygons, rectangles and circles."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from denseformer.folders.found import Found, Sample, Thing, found_things, polygon_thing, without_outlines
from denseformer.folders.listing import Listing, is_rows, split_of

EXPECTED = "LabelMe: a json file with 'shapes' and 'imagePath' for each image"
WITHOUT_AREA = frozenset(('point', 'points', 'line', 'linestrip', 'mask'))
CORNERS = 32
"""Corners of the polygon that stands for a circle."""


def recognize(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    files = [file for file in listing.ending('.json') if is_labelme(listing.json(file))]
    if not files:
        return None
    samples, faults, left_out = [], [], 0
    for file in files:
        content = listing.json(file)
        image = listing.find_image(str(content['imagePath']), file)
        if image is None:
            faults.append(f"{file}: the image '{content['imagePath']}' is not there")
            continue
        try:
            things = [thing_of(shape) for shape in content['shapes']]
        except (TypeError, ValueError):
            faults.append(f'{file}: points are not pairs of numbers')
            continue
        left_out += things.count(None)
        size = (content['imageWidth'], content['imageHeight']) if content.get('imageWidth') else None
        samples.append(Sample(image, split_of(image), things=tuple(t for t in things if t), size=size))
    notes = [f'{left_out} points, lines and masks are left out'] if left_out else []
    samples = only_boxes(samples, files, listing)
    return found_things('LabelMe json', listing, samples, names, faults, notes)


def is_labelme(content: Any) -> bool:
    return isinstance(content, Mapping) and is_rows(content.get('shapes')) and 'imagePath' in content


def only_boxes(samples: Sequence[Sample], files: Sequence[str], listing: Listing) -> list[Sample]:
    """The samples, with boxes alone where every shape with an area is a rectangle."""
    shapes = [shape for file in files for shape in listing.json(file)['shapes']]
    kinds = {shape.get('shape_type') or 'polygon' for shape in shapes} - WITHOUT_AREA
    return [without_outlines(sample) for sample in samples] if kinds == {'rectangle'} else list(samples)


def thing_of(shape: Mapping[str, Any]) -> Thing | None:
    """The object of a shape; None for one without an area."""
    kind, name = shape.get('shape_type') or 'polygon', str(shape.get('label') or '')
    points = [(float(x), float(y)) for x, y in shape.get('points', ())]
    if kind == 'rectangle' and len(points) in (2, 4):  # two corners, or all of them
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        top, bottom = min(y for _, y in points), max(y for _, y in points)
        return polygon_thing(name, [(left, top), (right, top), (right, bottom), (left, bottom)])
    if kind == 'circle' and len(points) == 2:
        (x, y), edge = points
        radius, turns = math.dist(points[0], edge), [2 * math.pi * i / CORNERS for i in range(CORNERS)]
        return polygon_thing(name, [(x + radius * math.cos(t), y + radius * math.sin(t)) for t in turns])
    return polygon_thing(name, points) if kind in ('polygon', 'rotation') and len(points) >= 3 else None
