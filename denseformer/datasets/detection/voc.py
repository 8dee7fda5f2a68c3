"""Boxes of Pascal VOC's xml files, and of all that are labelled in that format."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from mmdet.datasets import voc, xml_style

from denseformer.datasets.lists import read_names
from denseformer.detection.annotation_files import check_class_names, check_some_left
from denseformer.detection.coco_content import log_left_out, size_in_header
from denseformer.images.reading import read_bytes
from denseformer.registry import DATASETS

SIDES = ('xmin', 'ymin', 'xmax', 'ymax')


@DATASETS.register_module()
class XMLDataset(xml_style.XMLDataset):
    """Images with one xml file each, listed in a text file, one name a line, with or without suffix.

    Pixels of VOC are counted from 1 and its boxes include their last pixel: a box is (xmin - 1, ymin - 1, xmax, ymax)
    here, cut at the image's borders. (mmdetection's boxes lack the last row and column, so that one of a single pixel
    has no area, and keep what lies outside.) Boxes marked difficult are ignored in training and in scores; boxes
    without area are left out.

    Args:
        ann_file: the list, below `data_root`.
        data_prefix: {'sub_data_root': folder that the others are in}.
        img_suffix: of the image files.
        img_subdir, ann_subdir: folders of images and xml files.
        subset: take the boxes of the dataset's classes and leave others out; otherwise others are an error.
        The others are described in mmdetection's `XMLDataset`.

    object_counts: how many objects are taken (under '') and left out or ignored, by reason.

    Raises ValueError for an xml file that cannot be read, and, listing both sides, for boxes of classes that the
    dataset does not name.
    """

    def __init__(
        self,
        *,
        img_suffix: str = '.jpg',
        img_subdir: str = 'JPEGImages',
        ann_subdir: str = 'Annotations',
        subset: bool = False,
        **options: Any,
    ):
        self.img_suffix = img_suffix
        self.subset = subset
        self.object_counts: Counter[str] = Counter()
        super().__init__(img_subdir=img_subdir, ann_subdir=ann_subdir, **options)

    def load_data_list(self) -> list[dict]:
        classes = self.metainfo['classes']
        self.cat2label = {name: label for label, name in enumerate(classes)}
        self._names: set[str] = set()
        folder = Path(self.sub_data_root)
        infos = [
            self.parse_data_info(
                {
                    'img_id': name,
                    'file_name': str(Path(self.img_subdir, f'{name}{self.img_suffix}')),
                    'xml_path': str(folder / self.ann_subdir / f'{name}.xml'),
                }
            )
            for name in read_names(self.ann_file, (self.img_suffix, '.xml'))
        ]
        check_class_names(self.ann_file, classes, used=sorted(self._names), listed=None, subset=self.subset)
        log_left_out(self.ann_file, self.object_counts)
        return infos

    def filter_data(self) -> list[dict]:
        left = super().filter_data()
        check_some_left(left, self.data_list, self.ann_file)
        return left

    def parse_data_info(self, img_info: dict) -> dict:
        path = Path(self.sub_data_root, img_info['file_name'])
        root = read_xml(img_info['xml_path'])
        try:
            width, height = size_of(root, path)
            instances = [*self._instances(root, width, height)]
        except (OSError, ValueError) as error:
            raise ValueError(
                f"'{img_info['xml_path']}' cannot be used: {error}. Correct it or take it off the list."
            ) from error
        places = {'img_path': str(path), 'img_id': img_info['img_id'], 'xml_path': img_info['xml_path']}
        return {**places, 'width': width, 'height': height, 'instances': instances}

    def _instances(self, root: Element, width: int, height: int) -> Iterator[dict]:
        for name, difficult, (left, top, right, bottom) in objects_in(root):
            self._names.add(name)
            box = [max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)]
            side = min(box[2] - box[0], box[3] - box[1])
            small = side < (self.bbox_min_size or 0)
            if name not in self.cat2label:
                self.object_counts['of other classes'] += 1
            elif side <= 0:
                self.object_counts['with a box without area inside the image'] += 1
            else:
                self.object_counts['difficult' if difficult else 'smaller than bbox_min_size' if small else ''] += 1
                yield {'bbox': box, 'bbox_label': self.cat2label[name], 'ignore_flag': int(difficult or small)}


@DATASETS.register_module()
class VOCDataset(XMLDataset, voc.VOCDataset):
    """The twenty classes of Pascal VOC 2007 and 2012."""


def read_xml(path: str) -> Element:
    try:
        return ElementTree.fromstring(read_bytes(path, 'annotation file'))
    except ElementTree.ParseError as error:
        raise ValueError(f"'{path}' is no xml file: {error}. Fetch it again or take it off the list.") from error


def objects_in(root: Element) -> Iterator[tuple[str, bool, list[float]]]:
    """(class name, whether it is difficult, left, top, right and bottom of its box, counted from 0) of each object."""
    for found in root.iterfind('object'):
        left, top, right, bottom = (number_in(found, f'bndbox/{side}') for side in SIDES)
        box = [left - 1, top - 1, right, bottom]
        yield (found.findtext('name') or '').strip(), is_marked(found, 'difficult'), box


def number_in(element: Element, field: str, default: str | None = None) -> float:
    """The number in a field; ValueError, which names the field, for other text and for a field without default."""
    text = (element.findtext(field) or '').strip() or default
    try:
        number = float(text or '')
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f'{field} is {text!r}, not a number')
    return number


def is_marked(element: Element, field: str) -> bool:
    """A flag: 0 or 1, a word for them, or 'Unspecified', which some tools write for 0."""
    word = (element.findtext(field) or '').strip().lower()
    if word in ('', 'false', 'no', 'unspecified'):
        return False
    return word in ('true', 'yes') or number_in(element, field) != 0


def size_of(root: Element, image: Path) -> tuple[int, int]:
    """Width and height as the xml file says, or, where it does not, the image's header."""
    width, height = (number_in(root, f'size/{side}', '0') for side in ('width', 'height'))
    if not width.is_integer() or not height.is_integer():
        raise ValueError(f'size is {width} x {height}, not whole numbers')
    return (int(width), int(height)) if min(width, height) > 0 else size_in_header(image)
