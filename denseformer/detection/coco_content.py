"""Strict reading of COCO's json files: faults are named with file and ids, and what is missing is derived.

Works on the content of a file, {'images': [...], 'annotations': [...], 'categories': [...]}, which it completes in
place: areas and boxes that are missing follow from outlines, sizes of images from their headers.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any, TypeGuard

from mmengine.logging import print_log
from PIL import Image
from pycocotools import mask as coco_mask

from denseformer.detection.rle import rle_area, runs_fault

LISTS = ('images', 'annotations', 'categories')
SHOWN = 5
ORIENTATION = 0x0112
"""EXIF's tag; from 5 on rows and columns change places."""


@contextmanager
def reading_named(file: str) -> Iterator[None]:
    """Turns whatever pycocotools raises for a file that it cannot read into a ValueError that says what is wrong."""
    try:
        yield
    except (OSError, ValueError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        fault = reading_fault(file)
        if not fault:
            raise
        raise ValueError(f"'{file}' {fault}") from error


def reading_fault(file: str) -> str:
    """Say, with the remedy, why a file is none of COCO's json files; empty for one whose lists hold objects."""
    try:
        data = Path(file).read_bytes()
        content = json.loads(data)
    except OSError as error:
        return f'cannot be read: {error.strerror}. Check data_root and ann_file; data/README.md has the layouts.'
    except UnicodeDecodeError:
        return 'is not encoded as UTF-8. Save it so, without BOM.'
    except (ValueError, RecursionError) as error:
        return f'is no json file, or broke off ({error}). Fetch it again.'
    if (encoding := json.detect_encoding(data)) != 'utf-8':
        return (
            f'is encoded as {"UTF-8 with BOM" if encoding == "utf-8-sig" else encoding}. Save it as UTF-8 without BOM.'
        )
    if not isinstance(content, dict):
        return f'holds a {type(content).__name__}; COCO has an object with the lists {", ".join(LISTS)}.'
    for name in LISTS:
        rows = content.get(name, [])
        strange = [row for row in rows if not isinstance(row, dict)] if isinstance(rows, list) else [rows]
        if strange:
            return f'has {str(strange[0])[:40]!r} in {name}, which is a list of objects in COCO. Correct or remove it.'
    return ''


def check_content(content: dict[str, Any], *, file: str, images: str | Path | None = None) -> None:
    """Complete the content of a COCO file in place; raise ValueError for what cannot be meant as it stands.

    That is: ids that occur twice, references to images by another type of id, backslashes in file names,
    polygons that are not in a list, and run lengths that do not fill their mask.

    Args:
        content: of an instances or a panoptic file.
        file: named in messages.
        images: the folder of the images; None where nothing needs to be known of them.
    """
    pictures, annotations = content.get('images') or [], content.get('annotations') or []
    check_unique([row['id'] for row in pictures], f"'{file}': image ids")
    check_references(annotations, {row['id'] for row in pictures}, file)
    if images is not None:
        check_file_names(pictures, Path(images), file)
        complete_sizes(pictures, Path(images))
    if any('segments_info' in row for row in annotations):
        check_segments(annotations, file)
    else:
        check_unique([row['id'] for row in annotations], f"'{file}': annotation ids")
        check_outlines(annotations, file)
        complete_annotations(annotations, file)


def check_unique(ids: Sequence[Any], what: str, remedy: str = 'Number them 1, 2, 3 ...') -> None:
    if len(set(ids)) < len(ids):
        twice = [number for number, count in Counter(ids).items() if count > 1]
        raise ValueError(f'{what} {listed(twice)} occur more than once. {remedy}')


def check_references(annotations: Sequence[Mapping], images: Collection[Any], file: str) -> None:
    """Refuse ids of images that match as text only; annotations of images that are not listed are just left out."""
    lost = {row['image_id'] for row in annotations} - set(images)
    meant = lost & {str(number) for number in images} or {name for name in lost if str(name) in images}
    if meant:
        raise ValueError(
            f"'{file}': annotations have image_id {listed(sorted(meant, key=str), repr)}, the images' ids are "
            f'{listed(images, repr)}. Write both alike, as numbers.'
        )


def check_file_names(pictures: Sequence[Mapping], folder: Path, file: str) -> None:
    texts = [row['id'] for row in pictures if not isinstance(row['file_name'], str) or not row['file_name']]
    if texts:
        raise ValueError(f"'{file}': images {listed(texts)} have no legal file_name. Write the name of the file.")
    wrong = [row['file_name'] for row in pictures if '\\' in row['file_name']]
    wrong = [name for name in wrong if not (folder / name).exists()]
    if wrong:
        raise ValueError(f"'{file}': file_name has backslashes: {listed(wrong, repr)}. Write '/' between folders.")


def check_segments(annotations: Sequence[Mapping], file: str) -> None:
    images = [row['image_id'] for row in annotations]
    check_unique(images, f"'{file}': annotations of the images", 'Write one row of segments for each image.')
    for row in annotations:
        ids = [segment['id'] for segment in row['segments_info']]
        what = f"'{file}': segments of image {row['image_id']} with ids"
        check_unique(ids, what, 'Give each segment its own id and color.')


def check_outlines(annotations: Sequence[Mapping], file: str) -> None:
    faults: dict[str, list] = {}
    for row in annotations:
        fault = outline_fault(row.get('segmentation'))
        if fault:
            faults.setdefault(fault, []).append(row['id'])
    if faults:
        texts = [f'annotation {listed(ids)} has {fault}' for fault, ids in list(faults.items())[:SHOWN]]
        raise ValueError(f"'{file}': {'; '.join(texts)}.")


def outline_fault(outline: Any) -> str:
    """The fault of an outline, with the remedy; empty for polygons, for sound run lengths, and for none."""
    if not outline:
        return ''
    if isinstance(outline, Mapping):
        fault = runs_fault(outline)
        return fault and f'{fault}: encode the mask again'
    if not isinstance(outline, list):
        return f'a segmentation of type {type(outline).__name__}: write polygons or run lengths'
    if is_number(outline[0]):
        return 'a polygon that is not in a list: write [[x1, y1, x2, y2, ...]]'
    legal = all(isinstance(polygon, list) and are_numbers(polygon) for polygon in outline)
    return '' if legal else 'polygons that are not lists of numbers: write [[x1, y1, x2, y2, ...], ...]'


def complete_annotations(annotations: Sequence[dict], file: str) -> None:
    """Set the boxes that are missing, and the areas that are missing or cannot be."""
    corrected = 0
    for row in annotations:
        outline = row.get('segmentation')
        if 'bbox' not in row and has_outline(outline):
            row['bbox'] = outline_box(outline)
        if 'bbox' not in row:
            raise ValueError(f"'{file}': annotation {row['id']} has neither bbox nor segmentation. Add one of them.")
        if not is_box(row['bbox']):
            raise ValueError(f"'{file}': annotation {row['id']}: bbox is {row['bbox']}, not four numbers.")
        area: Any = row.get('area')
        room = row['bbox'][2] * row['bbox'][3]
        if not is_number(area) or area <= 0 or area > 1.01 * room + 1:
            row['area'] = outline_area(outline) or room
            corrected += 1
    if corrected:
        print_log(
            f"'{file}': the area of {corrected} annotations was computed from their outlines or boxes.", 'current'
        )


def complete_sizes(pictures: Iterable[dict], folder: Path) -> None:
    """Set the sizes of images that are missing to those of the files, upright as they are read."""
    for row in pictures:
        if not all(is_number(row.get(side)) and row[side] > 0 for side in ('width', 'height')):
            row['width'], row['height'] = size_in_header(folder / row['file_name'])


def size_in_header(path: Path) -> tuple[int, int]:
    """Width and height of an image that is turned upright, without decoding it."""
    try:
        with Image.open(path) as header:
            size, turned = header.size, header.getexif().get(ORIENTATION, 1) >= 5
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"The size of '{path}' is neither in the annotations nor in the file: {error}.") from error
    return size[::-1] if turned else size


def has_outline(outline: Any) -> bool:
    """True for run lengths with a pixel, and for polygons of which one has three points or more."""
    if isinstance(outline, Mapping):
        return rle_area(outline) > 0
    return any(len(polygon) >= 6 for polygon in outline or ())


def outline_area(outline: Any) -> float:
    """Pixels of run lengths, or the area of polygons; 0 without an outline."""
    if isinstance(outline, Mapping):
        return rle_area(outline)
    return sum(polygon_area(polygon) for polygon in outline or () if len(polygon) >= 6)


def polygon_area(points: Sequence[float]) -> float:
    """The area of [x1, y1, x2, y2, ...]."""
    x, y = points[::2], points[1::2]
    return abs(sum(x[i - 1] * y[i] - x[i] * y[i - 1] for i in range(min(len(x), len(y))))) / 2


def outline_box(outline: Any) -> list[float]:
    """Left, top, width and height of an outline."""
    if isinstance(outline, Mapping):
        rle = coco_mask.frPyObjects(outline, *outline['size']) if isinstance(outline['counts'], list) else outline
        return coco_mask.toBbox(rle).tolist()
    x, y = ([value for polygon in outline for value in polygon[start::2]] for start in (0, 1))
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and are_numbers(box)


def reason_left_out(annotation: Mapping[str, Any], image: Mapping[str, Any], classes: Collection[Any]) -> str:
    """Why mmdetection's datasets leave an annotation out, or ignore it in training; empty where they take it.

    classes: ids of the categories that are taken.
    """
    x, y, width, height = annotation['bbox']
    if annotation['category_id'] not in classes:
        return 'of other classes'
    if width < 1 or height < 1:
        return 'with a box of less than one pixel (boxes are left, top, width, height in pixels)'
    if min(x + width, image['width']) <= max(x, 0) or min(y + height, image['height']) <= max(y, 0):
        return 'with a box outside the image'
    if annotation.get('ignore'):
        return 'marked to be ignored'
    return 'crowds' if annotation.get('iscrowd') else ''


def count_objects(content: Mapping[str, Any], classes: Collection[Any]) -> Counter[str]:
    """Numbers of annotations by the reason why they are left out or ignored; '' counts those that are taken."""
    images = {row['id']: row for row in content.get('images') or ()}
    rows = content.get('annotations') or ()
    return Counter(
        reason_left_out(row, images[row['image_id']], classes) if row['image_id'] in images else 'of images not listed'
        for row in rows
    )


def counts_text(counts: Mapping[str, int]) -> str:
    """'3 crowds, 2 of other classes', the most frequent reason first."""
    ordered = sorted(((number, reason) for reason, number in counts.items() if reason), reverse=True)
    return ', '.join(f'{number} {reason}' for number, reason in ordered)


def log_left_out(file: str, counts: Mapping[str, int]) -> None:
    """One line in the log where a file has objects that are left out or ignored."""
    if set(counts) - {''}:
        text = f"'{file}': {counts.get('', 0)} of {sum(counts.values())} objects count; left out or ignored: "
        print_log(text + f'{counts_text(counts)}.', 'current')


def are_numbers(values: Sequence[Any]) -> bool:
    """`is_number` of all values, quickly."""
    return {*map(type, values)} <= {int, float} and abs(sum(values)) < inf


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < inf


def listed(values: Iterable[Any], text: Any = str) -> str:
    """The first few of some values, and how many there are besides."""
    values = list(values)
    rest = f' and {len(values) - SHOWN} more' if len(values) > SHOWN else ''
    return ', '.join(map(text, values[:SHOWN])) + rest
