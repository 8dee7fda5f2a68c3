"""Masks: one image file for each image, or for each image and class, in parallel folders or beside the images."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from denseformer.folders.found import Found, Sample
from denseformer.folders.listing import (
    IMAGE_WORDS,
    MASK_WORDS,
    SPLIT_WORDS,
    FolderError,
    Listing,
    listed_splits,
    some,
    split_of,
    words,
)

EXPECTED = 'masks: label images of the names of the images, as images/ and masks/, or NAME.jpg and NAME_mask.png'
FILLERS = frozenset(('dir', 'class', 'set', 'path'))
SUFFIX = re.compile(r'((?i:[-_. ]*(masks?|labels?|labelmap)|[-_. ]+(gt|seg|segmentation|annotations?))|[-_. ]+L)$')
CLASS_FOLDER, OBJECT_FOLDER = 'SegmentationClass', 'SegmentationObject'
"""Pascal VOC's folders of masks of classes and of objects."""
LOSSLESS = ('.png', '.bmp', '.tif', '.tiff', '.gif', '.webp', '.pgm')
Key = tuple[str, ...]


def recognize(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    """Images with their masks; without classes, which `with_meaning` adds, unless each class has files of its own."""
    names_there = [name for name in listing.images if OBJECT_FOLDER not in PurePosixPath(name).parts]
    around = len(common_folder(names_there))  # a folder around all files says nothing of one
    masks = [name for name in names_there if is_mask(name[around:])]
    images = [name for name in names_there if not is_mask(name[around:])]
    if not masks:
        images, masks = beside(names_there)
    if not masks or not images:
        return None
    if any(CLASS_FOLDER in PurePosixPath(name).parts for name in masks):  # of Pascal VOC's images few have masks
        labelled = {mask_key(name)[-1] for name in masks}
        images = [name for name in images if PurePosixPath(name).stem in labelled]
    lists = listed_splits(listing)
    samples, classes, faults = pair(images, masks)
    if faults:
        raise FolderError(
            f"'{listing.root}' seems to hold images and masks, but:\n{some(faults)}\n"
            'Give each mask the name of its image, and remove what belongs to nothing.'
        )
    stems = [PurePosixPath(sample.image).stem for sample in samples]
    samples = [replace(s, split=s.split or lists.get(stem, '')) for s, stem in zip(samples, stems, strict=True)]
    if lists and any(sample.split for sample in samples):
        samples = [sample for sample in samples if sample.split]
    if classes:
        if 'background' not in classes[0].lower():
            classes = ['background', *classes]
            samples = [replace(s, label_classes=tuple(i + 1 for i in s.label_classes)) for s in samples]
        classes, samples = in_order_of(names, classes, samples)
        present = {s.image: frozenset(classes[i] for i in (0, *s.label_classes)) for s in samples}
        return Found('one mask file per class', 'segmentation', tuple(samples), tuple(classes), present=present)
    return Found('masks', 'segmentation', tuple(samples))


def is_mask(name: str) -> bool:
    path = PurePosixPath(name)
    folders = {word for part in path.parent.parts for word in words(part)}
    return bool(folders & MASK_WORDS) or (bool(SUFFIX.search(path.stem)) and path.suffix.lower() in LOSSLESS)


def common_folder(names: Sequence[str]) -> str:
    """The folder around all of these files, with '/' at its end; '' for the root."""
    folder = os.path.commonpath([os.path.dirname(name) for name in names]) if names else ''
    return f'{folder}/' if folder else ''


def in_order_of(names: Sequence[str], classes: list[str], samples: list[Sample]) -> tuple[list[str], list[Sample]]:
    """(classes, samples) of files per class in the order of a data file's `names`, the background first.

    Raises FolderError for files of classes that `names` does not list.
    """
    if not names:
        return classes, samples
    unknown = [name for name in classes[1:] if name not in names]
    if unknown:
        raise FolderError(
            f'there are masks of {", ".join(unknown)}, which names does not list: {", ".join(names)}. Folders and ends '
            'of file names are the classes here.'
        )
    ordered = [classes[0], *(name for name in names if name != classes[0])]
    return ordered, [
        replace(s, label_classes=tuple(ordered.index(classes[i]) for i in s.label_classes)) for s in samples
    ]


def beside(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """(images, masks) where a.jpg and a.png lie in one folder."""
    photos = {PurePosixPath(name).with_suffix('') for name in names if name.lower().endswith(('.jpg', '.jpeg'))}
    masks = [n for n in names if n.lower().endswith(LOSSLESS) and PurePosixPath(n).with_suffix('') in photos]
    return [name for name in names if name not in set(masks)], masks


def key_of(name: str) -> Key:
    """Parts that the paths of an image and its mask share: folders without the words for either, splits by one name."""
    path = PurePosixPath(name)
    parts = []
    for part in path.parent.parts:
        left = [SPLIT_WORDS.get(word, word) for word in words(part)]
        kinds = MASK_WORDS | IMAGE_WORDS
        if set(left) & kinds:
            left = [word for word in left if word not in kinds | FILLERS]
            part = '_'.join(left)
        elif len(left) == 1 and left[0] in SPLIT_WORDS.values():
            part = left[0]
        parts += [part] if part else []
    parts.sort(key=lambda part: part not in SPLIT_WORDS.values())  # train/images or images/train
    return (*parts, path.stem)


def mask_key(name: str) -> Key:
    *folders, stem = key_of(name)
    return (*folders, SUFFIX.sub('', stem) or stem)


@dataclass(frozen=True)
class ClassFile:
    """A mask of one class of the image whose key this is."""

    key: Key
    name: str
    mask: str


def pair(images: Sequence[str], masks: Sequence[str]) -> tuple[list[Sample], list[str], list[str]]:
    """(samples, classes where each has files of its own, faults)."""
    by_key = {key_of(name): name for name in images}
    found: dict[Key, list[str]] = {}
    for mask in masks:
        exact = key_of(mask)
        found.setdefault(exact if exact in by_key else mask_key(mask), []).append(mask)
    alone = [key for key in found if key not in by_key]
    per_class = [row for key in alone for mask in found[key] for row in class_files(mask, by_key)]
    if len(per_class) > len(masks) / 2:
        return pair_classes(by_key, per_class)
    faults = [f'{found[key][0]}: is a mask without image' for key in alone]
    faults += [
        f'{by_key[key]}: has several masks, {", ".join(files)}'
        for key, files in found.items()
        if key in by_key and len(files) > 1
    ]
    # Test images are often published without masks.
    missing = [name for key, name in by_key.items() if key not in found and split_of(name) != 'test']
    faults += [f'{name}: is an image without mask' for name in missing]
    samples = [Sample(name, split_of(name), (found[key][0],)) for key, name in by_key.items() if key in found]
    return samples, [], faults


def class_files(mask: str, by_key: Mapping[Key, str]) -> list[ClassFile]:
    """The image and class a mask may belong to: of a.jpg, masks/road/a.png, masks/a/road.png or masks/a_road.png."""
    *folders, stem = key_of(mask)
    for i, folder in enumerate(folders):
        for key, name in (
            ((*folders[:i], *folders[i + 1 :], stem), folder),
            ((*folders[:i], *folders[i + 1 :], folder), stem),
        ):
            if key in by_key:
                return [ClassFile(key, name, mask)]
    for cut in range(len(stem) - 1, 0, -1):
        key = (*folders, stem[:cut])
        if stem[cut] in '_-. ' and key in by_key:
            return [ClassFile(key, stem[cut + 1 :], mask)]
    return []


def pair_classes(by_key: Mapping[Key, str], files: Sequence[ClassFile]) -> tuple[list[Sample], list[str], list[str]]:
    classes = sorted({row.name for row in files}, key=lambda name: ('background' not in name.lower(), name))
    of_image: dict[Key, list[ClassFile]] = {key: [] for key in by_key}
    for row in files:
        of_image[row.key].append(row)
    samples = [
        Sample(name, split_of(name), tuple(r.mask for r in rows), tuple(classes.index(r.name) for r in rows))
        for key, name in by_key.items()
        if (rows := of_image[key])
    ]
    faults = [f'{by_key[key]}: is an image without a mask of any class' for key, rows in of_image.items() if not rows]
    return samples, classes, faults
