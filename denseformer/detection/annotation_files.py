"""Annotation files against the dataset that reads them: class names, and the names of panoptic maps.

mmdetection drops every box of a class that it does not know, numbers classes by their place in the file whatever names
the dataset has for them, and guesses the names of panoptic maps; here they are matched, or an error says why not.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

from mmdet.datasets.api_wrappers import COCO, COCOPanoptic


def check_class_names(
    file: str, classes: Sequence[str], *, used: Collection[str], listed: Collection[str] | None, subset: bool = False
) -> None:
    """Raise ValueError that lists both sides where the class names of an annotation file and a dataset disagree.

    Args:
        file: named in the message.
        classes: of the dataset.
        used: classes of the file's boxes; each must be among `classes`.
        listed: all classes of the file; each of `classes` must be among them. None for formats without such a list.
        subset: boxes of other classes are left out on purpose.
    """
    unknown = [] if subset else [name for name in used if name not in classes]
    missing = [] if listed is None else [name for name in classes if name not in listed]
    if not missing and not unknown:
        return
    faults = [
        *([f'boxes of classes that the dataset does not name: {joined(unknown)}'] if unknown else []),
        *([f'no class called {joined(missing)}'] if missing else []),
    ]
    theirs = dict.fromkeys([*(listed or ()), *used])
    leave = ', or set subset=True to leave the other classes out' if unknown else ''
    raise ValueError(
        f"'{file}' has {' and '.join(faults)}. Its classes are: {joined(theirs)}. Those of the dataset are: "
        f'{joined(classes)}. Write the names of the file as metainfo=dict(classes=(...)) of the dataset{leave}.'
    )


def check_some_left(left: Sequence[dict], whole: Sequence[dict], file: str) -> None:
    """Raise ValueError where no image is left of a dataset; mmengine then has no array to concatenate."""
    if not whole:
        raise ValueError(f"'{file}' lists no image.")
    if not left:
        raise ValueError(
            f"Of the {len(whole)} images in '{file}' none is left. filter_cfg leaves out images without objects "
            '(filter_empty_gt) and images with a side below min_size.'
        )


def joined(names: Iterable[str]) -> str:
    return ', '.join(map(repr, names)) or 'none'


def match_categories(coco: COCO, classes: Sequence[str], *, file: str, subset: bool = False) -> None:
    """Put the categories of a COCO file in the order of `classes`, in which pycocotools then hands out their ids.

    Blanks around the names of the file do not count. Raises ValueError as `check_class_names` does, and for a name
    that stands in the file twice.
    """
    categories = coco.dataset.get('categories') or []
    for category in categories:
        category['name'] = category['name'].strip()
    names = [category['name'] for category in categories]
    twice = {name for name in names if names.count(name) > 1}
    if twice & set(classes):
        raise ValueError(f"'{file}' lists several categories called {joined(sorted(twice))}; give each its own name.")
    known = {category['id']: category['name'] for category in categories}
    used = [known.get(number, f'category {number!r} without a name') for number in coco.cat_img_map]
    check_class_names(file, classes, used=used, listed=names, subset=subset)
    rank = {name: place for place, name in enumerate(classes)}
    coco.dataset['categories'] = sorted(categories, key=lambda category: rank.get(category['name'], len(classes)))


def make_scorable(coco: COCO) -> None:
    """Number annotations from 1, as COCO's evaluation counts id 0 as missed, and call none a crowd by default."""
    for number, annotation in enumerate(coco.dataset.get('annotations', ()), 1):
        annotation.update(id=number, iscrowd=annotation.get('iscrowd', 0))
    with redirect_stdout(None):
        coco.createIndex()


def check_things(categories: Iterable[Mapping[str, Any]], meta: Mapping[str, Sequence[str]], *, file: str) -> None:
    """Raise ValueError where a panoptic file and a dataset disagree on which classes are things and which are stuff.

    categories: of the file; meta: the dataset's `classes` and `thing_classes`.
    """
    flags = {row['name']: bool(row['isthing']) for row in categories if 'isthing' in row}
    things = set(meta['thing_classes'])
    wrong = [name for name in meta['classes'] if flags.get(name, name in things) != (name in things)]
    if wrong:
        raise ValueError(
            f"'{file}' and the dataset disagree on things and stuff (isthing): {joined(wrong)}. Things of the dataset: "
            f'{joined(meta["thing_classes"])}. Correct thing_classes and stuff_classes in its metainfo, or the file.'
        )


def name_panoptic_maps(coco: COCOPanoptic) -> None:
    """Set the `segm_file` of every image to the name that its annotation gives."""
    for annotation in coco.dataset.get('annotations', ()):
        coco.imgs[annotation['image_id']]['segm_file'] = annotation['file_name']
