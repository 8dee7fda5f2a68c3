"""COCO's json files: boxes and masks (instances), and panoptic maps; Roboflow's `_annotations.coco.json` too."""

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from denseformer.detection.coco_content import has_outline, is_box, outline_box, outline_fault
from denseformer.folders.found import Found, Sample, Thing, found_things
from denseformer.folders.listing import FolderError, Listing, composed, is_rows, some, split_of

EXPECTED = "COCO: json files with 'images', 'annotations' and 'categories', images where file_name says"


def recognize(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    """Boxes or instances of the json files that hold them."""
    files = [file for file in coco_files(listing) if not is_panoptic(listing.json(file))]
    if not files:
        return None
    samples: list[Sample] = []
    classes: dict[str, None] = dict.fromkeys(names)
    faults: list[str] = []
    for file in files:
        content = listing.json(file)
        if wrong := rows_without_fields(file, content):
            faults += wrong
            continue
        used = {row.get('category_id') for row in content['annotations']}
        listed = content['categories']
        # Roboflow lists a parent of all classes first, of which no object is.
        if not names:
            classes |= dict.fromkeys(
                str(row['name']).strip() for row in listed if row['id'] in used or row.get('supercategory') != 'none'
            )
        samples += read_samples(listing, file, content, faults)
    return found_things('COCO json', listing, samples, tuple(classes), faults)


def recognize_panoptic(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    """Things and stuff of panoptic json files, whose maps lie in a folder of the json's name or elsewhere below."""
    files = [file for file in coco_files(listing) if is_panoptic(listing.json(file))]
    if not files:
        return None
    samples: list[Sample] = []
    things: dict[str, None] = {}
    stuff: dict[str, None] = {}
    faults: list[str] = []
    for file in files:
        content = listing.json(file)
        if wrong := rows_without_fields(file, content):
            faults += wrong
            continue
        known = {row['id']: str(row['name']).strip() for row in content['categories']}
        for row in content['categories']:
            (things if row.get('isthing', 1) else stuff)[known[row['id']]] = None
        segments = {row.get('image_id'): row for row in content['annotations']}
        for image in content['images']:
            try:
                samples.append(panoptic_sample(listing, file, image, segments.get(image['id'], {}), known))
            except ValueError as error:
                faults.append(f'{file}: {error}')
    if faults:
        raise FolderError(f"'{listing.root}' is labelled as COCO panoptic json, but:\n{some(faults)}")
    present = {s.image: frozenset(part['category'] for part in s.segments) for s in samples}
    classes = (*things, *(name for name in stuff if name not in things))
    return Found('COCO panoptic json', 'panoptic', tuple(samples), classes, classes[len(things) :], present=present)


def panoptic_sample(
    listing: Listing, file: str, image: Mapping[str, Any], row: Mapping[str, Any], known: Mapping[Any, str]
) -> Sample:
    """The sample of an image and the row of its segments; raises ValueError for what is not there.

    known: id -> name of the categories.
    """
    path = listing.find_image(str(image['file_name']), file)
    if path is None:
        raise ValueError(f"'{image['file_name']}' is not there")
    said = str(row.get('file_name'))
    end = composed(f'/{said}')
    called = listing.images_called(PurePosixPath(said).name)
    maps = [name for name in called if composed(f'/{name}').endswith(end) and name != path]
    if not maps:
        raise ValueError(f"the panoptic map of '{image['file_name']}' is not there")
    parts = row.get('segments_info') or ()
    lost = sorted({repr(part.get('category_id')) for part in parts if part.get('category_id') not in known})
    if lost:
        raise ValueError(f"segments of '{said}' have categories that are not listed: {', '.join(lost)}")
    rows = tuple({**part, 'category': known[part['category_id']]} for part in parts)
    label = max(maps, key=lambda name: PurePosixPath(file).stem in name)
    return Sample(path, split_of(file) or split_of(path), (label,), segments=rows, size=image_size(image))


def coco_files(listing: Listing) -> list[str]:
    return [file for file in listing.ending('.json') if is_coco(listing.json(file))]


def is_coco(content: Any) -> bool:
    parts = ('images', 'annotations', 'categories')
    if not isinstance(content, Mapping) or not all(is_rows(content.get(name)) for name in parts):
        return False
    return not any('keypoints' in row for row in content['annotations'])  # those are of the images of another file


def rows_without_fields(file: str, content: Mapping[str, Any]) -> list[str]:
    """Faults of images and categories without what identifies them, and of ids that occur twice."""
    faults = []
    for part, fields in (('images', ('id', 'file_name')), ('categories', ('id', 'name'))):
        rows = content[part]
        faults += [
            f'{file}: {part}[{i}] has no {field}'
            for i, row in enumerate(rows)
            for field in fields
            if row.get(field) is None
        ]
        twice = [number for number, count in Counter(str(row.get('id')) for row in rows).items() if count > 1]
        faults += [f'{file}: {part}: the id {number} occurs more than once' for number in twice]
    return faults


def is_panoptic(content: Mapping[str, Any]) -> bool:
    return any('segments_info' in row for row in content['annotations'])


def read_samples(listing: Listing, file: str, content: Mapping[str, Any], faults: list[str]) -> list[Sample]:
    """The images of one json file; appends what is wrong to `faults`."""
    categories = {row['id']: str(row['name']).strip() for row in content['categories']}
    things: dict[Any, list[Thing]] = {row['id']: [] for row in content['images']}
    for row in content['annotations']:
        drawn = row.get('segmentation')
        fault = outline_fault(drawn)
        outline = drawn if not fault and has_outline(drawn) else None
        box = row.get('bbox') or (outline and outline_box(outline))
        if row.get('category_id') not in categories:
            faults.append(
                f'{file}: annotation {row.get("id")} has category {row.get("category_id")}, which is not listed'
            )
        elif row.get('image_id') not in things:
            faults.append(f'{file}: annotation {row.get("id")} is of image {row.get("image_id")}, which is not listed')
        elif fault:
            faults.append(f'{file}: annotation {row.get("id")} has {fault}')
        elif not box or not is_box(box):
            faults.append(f'{file}: annotation {row.get("id")} has no box of four numbers')
        else:
            name, ignored = categories[row['category_id']], bool(row.get('ignore'))
            things[row['image_id']].append(Thing(name, tuple(box), outline, ignored, bool(row.get('iscrowd'))))
    samples = []
    for row in content['images']:
        path = listing.find_image(str(row['file_name']), file)
        if path is None:
            faults.append(f"{file}: the image '{row['file_name']}' is not there")
        else:
            split = split_of(file) or split_of(path)
            samples.append(Sample(path, split, things=tuple(things[row['id']]), size=image_size(row)))
    return samples


def image_size(row: Mapping[str, Any]) -> tuple[int, int] | None:
    return (row['width'], row['height']) if row.get('width') and row.get('height') else None
