"""Predictions in COCO's formats: instances and panoptic maps, of an image and of a whole run.

A run writes a file per image, and from these, at its end, one for all: `instances.json` is a COCO dataset whose
annotations have scores, `panoptic.json` one of panoptic maps. Images are numbered from 1 in the order of their names,
so that the order in which processes predict them does not matter. Class i has the category id i + 1.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from denseformer.detection.instances import Instances, encoded
from denseformer.inference.packs import read_output
from denseformer.inference.record import Entry, Record

WriteFile = Callable[[str, Callable[[Path], None]], None]
"""Writes the file of a name by a function that is given its path."""


@dataclass(frozen=True)
class Categories:
    """The classes: their names and colors; things: the number of things, which come before the stuff."""

    names: Sequence[str]
    colors: Sequence[tuple[int, int, int]]
    things: int

    def entries(self) -> list[Entry]:
        """COCO's `categories`."""
        return [
            {'id': i + 1, 'name': name, 'isthing': int(i < self.things), 'color': list(color)}
            for i, (name, color) in enumerate(zip(self.names, self.colors, strict=True))
        ]


def annotations_of(found: Instances, classes: Sequence[str], attributes: Sequence[str] = ()) -> list[Entry]:
    """Each instance with its category, box (x, y, width, height), area, score and, where there is one, mask.

    attributes: names; an instance of a model that finds attributes has the probabilities of those that are likely.
    """
    entries = []
    for i, (left, top, right, bottom) in enumerate(found.boxes.tolist()):
        label, mask = int(found.labels[i]), found.masks[i] if found.masks is not None else None
        entry = {
            'category_id': label + 1,
            'category': classes[label],
            'bbox': [round(value, 2) for value in (left, top, right - left, bottom - top)],
            'area': round((right - left) * (bottom - top), 2) if mask is None else int(rle.area(mask)),
            'iscrowd': 0,
            'score': round(float(found.scores[i]), 5),
        }
        if mask is not None:
            entry['segmentation'] = {'size': list(mask['size']), 'counts': mask['counts'].decode()}
        if found.attributes is not None:
            entry['attributes'] = likely(found.attributes[i], attributes)
        entries.append(entry)
    return entries


def likely(chances: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Attributes with a probability, of (A,), of a half or more, the likeliest first; numbers where none are named."""
    order = [int(i) for i in np.argsort(-chances, kind='stable') if chances[i] >= 0.5]
    return {(names[i] if names else str(i)): round(float(chances[i]), 4) for i in order}


def segments_of(panoptic: np.ndarray, labels: Sequence[int], classes: Sequence[str]) -> list[Entry]:
    """The segments of a panoptic map (H, W), which numbers them from 1; labels: the class of each."""
    entries = []
    for i, label in enumerate(labels, 1):
        mask = encoded(panoptic == i)
        entry = {'id': i, 'category_id': label + 1, 'category': classes[label], 'iscrowd': 0}
        entries.append({**entry, 'area': int(rle.area(mask)), 'bbox': rle.toBbox(mask).tolist()})
    return entries


def write_run_files(root: Path, record: Record, facts: Mapping[str, Any], file: WriteFile) -> None:
    """Write a run's `instances.json` and `panoptic.json`, those that its images have; facts: as of `Task.facts`."""
    if 'things' not in facts:
        return
    categories = Categories(facts['classes'], facts['palette'], facts['things'])
    writers = {'instances': write_instances, 'panoptic': write_panoptic}
    made = {kind for entry in record.predicted() for kind in writers if kind in entry}
    for kind in made:
        file(f'{kind}.json', partial(writers[kind], root=root, record=record, categories=categories))


def write_instances(path: Path, root: Path, record: Record, categories: Categories) -> None:
    """Write a run's `instances.json` from the files that its record names, one after the other."""

    def annotations() -> Iterator[Entry]:
        number = 0
        for image_id, entry in numbered(record):
            for annotation in json.loads(read_output(root, entry, 'instances')):
                number += 1
                yield {'id': number, 'image_id': image_id, **annotation}

    write_dataset(path, record, categories, annotations())


def write_panoptic(path: Path, root: Path, record: Record, categories: Categories) -> None:
    """Write a run's `panoptic.json` from the files that its record names; names are those in `panoptic/` or a tar."""
    annotations = (
        {
            'image_id': image_id,
            'file_name': entry['panoptic'].removeprefix('panoptic/'),
            'segments_info': json.loads(read_output(root, entry, 'segments')),
        }
        for image_id, entry in numbered(record)
    )
    write_dataset(path, record, categories, annotations)


def numbered(record: Record) -> Iterator[tuple[int, Entry]]:
    """Ids and entries of the images that were predicted."""
    return enumerate(record.predicted(), 1)


def write_dataset(path: Path, record: Record, categories: Categories, annotations: Iterable[Entry]) -> None:
    """Write a dataset with an image or annotation per line, so that memory does not grow with their number."""
    images = (
        {'id': i, 'file_name': entry['file'], 'height': entry['height'], 'width': entry['width']}
        for i, entry in numbered(record)
    )
    with path.open('w') as file:
        file.write(f'{{"categories": {json.dumps(categories.entries())}')
        for name, entries in (('images', images), ('annotations', annotations)):
            file.write(f',\n"{name}": [')
            file.writelines((',\n' if i else '\n') + json.dumps(entry) for i, entry in enumerate(entries))
            file.write('\n]')
        file.write('}\n')
