"""Boxes of Pascal VOC's xml files, and of all that are labelled in that format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from mmdet.datasets import voc, xml_style
from PIL import Image

from denseformer.datasets.loading import read_bytes
from denseformer.detection.annotation_files import check_class_names, check_some_left
from denseformer.registry import DATASETS

SIDES = ('xmin', 'ymin', 'xmax', 'ymax')


@DATASETS.register_module()
class XMLDataset(xml_style.XMLDataset):
    """Images with one xml file each, listed in a text file of names without suffix.

    Pixels of VOC are counted from 1 and its boxes include their last pixel: a box is (xmin - 1, ymin - 1, xmax, ymax)
    here, cut at the image's borders. (mmdetection's boxes lack the last row and column, so that one of a single pixel
    has no area, and keep what lies outside.) Boxes marked difficult are ignored in training and in scores; boxes
    without area are left out.

    Args:
        ann_file: the list, below `data_root`.
        data_prefix: {'sub_data_root': folder that the others are in}.
        img_suffix: of the image files.
        img_subdir, ann_subdir: folders of images and xml files.
        subset: take the boxes of the data set's classes and leave others out; otherwise others are an error.
        The others are described in mmdetection's `XMLDataset`.

    Raises ValueError for an xml file that cannot be read, and, listing both sides, for boxes of classes that the data
    set does not name.
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
        super().__init__(img_subdir=img_subdir, ann_subdir=ann_subdir, **options)

    def load_data_list(self) -> list[dict]:
        self._names: set[str] = set()
        infos = super().load_data_list()
        classes = self.metainfo['classes']
        check_class_names(self.ann_file, classes, used=sorted(self._names), listed=None, subset=self.subset)
        return infos

    def filter_data(self) -> list[dict]:
        left = super().filter_data()
        check_some_left(left, self.data_list, self.ann_file)
        return left

    def parse_data_info(self, img_info: dict) -> dict:
        path = Path(self.sub_data_root, img_info['file_name']).with_suffix(self.img_suffix)
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
            if name in self.cat2label and side > 0:
                ignored = difficult or side < (self.bbox_min_size or 0)
                yield {'bbox': box, 'bbox_label': self.cat2label[name], 'ignore_flag': int(ignored)}


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
        left, top, right, bottom = (float(found.findtext(f'bndbox/{side}') or 'nothing') for side in SIDES)
        difficult = int(found.findtext('difficult') or 0) != 0
        yield (found.findtext('name') or '').strip(), difficult, [left - 1, top - 1, right, bottom]


def size_of(root: Element, image: Path) -> tuple[int, int]:
    """Width and height as the xml file says, or, where it does not, the image's header."""
    width, height = (int(root.findtext(f'size/{side}') or 0) for side in ('width', 'height'))
    if width > 0 and height > 0:
        return width, height
    with Image.open(image) as header:
        return header.size
