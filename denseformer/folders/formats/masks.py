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
from denseformer.suggestions import did_you_mean

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
    said = listing.mask_folders
    around = len(common_folder(names_there))  # a folder around all files says nothing of one
    masks = masks_in(listing, names_there) if said else [name for name in names_there if is_mask(name[around:])]
    images = sorted({*names_there} - {*masks})
    if not masks:
        images, masks = beside(names_there)
    if not masks or not images:
        return None
    if any(CLASS_FOLDER in PurePosixPath(name).parts for name in masks):  # of Pascal VOC's images few have masks
        labelled = {mask_key(name)[-1] for name in masks}
        images = [name for name in images if PurePosixPath(name).stem in labelled]
    lists = listed_splits(listing)
    samples, classes, faults, incomplete = pair(images, masks, said)
    if faults:
        listed = [*faults, *(f'{name}: {lack}' for name, lack in incomplete.items())]
        raise FolderError(
            f"'{listing.root}' seems to hold images and masks, but:\n{some(listed)}\n"
            'Give each mask the name of its image, and remove what belongs to nothing.'
        )
    stems = [PurePosixPath(sample.image).stem for sample in samples]
    samples = [replace(s, split=s.split or lists.get(stem, '')) for s, stem in zip(samples, stems, strict=True)]
    if lists and any(sample.split for sample in samples):
        samples = [sample for sample in samples if sample.split]
        incomplete = {name: lack for name, lack in incomplete.items() if PurePosixPath(name).stem in lists}
    if classes:
        if 'background' not in classes[0].lower():
            classes = ['background', *classes]
            samples = [replace(s, label_classes=tuple(i + 1 for i in s.label_classes)) for s in samples]
        classes, samples = in_order_of(names, classes, samples)
        present = {s.image: frozenset(classes[i] for i in (0, *s.label_classes)) for s in samples}
        kind = 'one mask file per class'
        return Found(kind, 'segmentation', tuple(samples), tuple(classes), present=present, incomplete=incomplete)
    return Found('masks', 'segmentation', tuple(samples), incomplete=incomplete)


def masks_in(listing: Listing, names: Sequence[str]) -> list[str]:
    """The files in the folders of masks that a data file names. Raises FolderError for one without an image."""
    inside = {said: [n for n in names if f'/{trimmed(said)}/' in f'/{n}'] for said in listing.mask_folders}
    empty = [said for said, found in inside.items() if not found]
    if empty:
        around = {folder for name in names for folder in PurePosixPath(name).parents} - {PurePosixPath()}
        near = did_you_mean(empty[0], sorted({*map(str, around)} | {folder.name for folder in around}))
        raise FolderError(
            f"'{listing.root}': masks names '{empty[0]}', but no image is in a folder of this name.{near} Name folders "
            f"as they are seen from '{listing.root}'."
        )
    return sorted({name for found in inside.values() for name in found})


def trimmed(folder: str) -> str:
    return PurePosixPath(folder.replace('\\', '/')).as_posix().strip('/')


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


def own_folders(names: Sequence[str], others: Sequence[str]) -> frozenset[str]:
    """Folders that all of these files are in, and none of the others."""
    shared = set.intersection(*({*PurePosixPath(name).parent.parts} for name in names))
    return frozenset(shared.difference(*(PurePosixPath(name).parent.parts for name in others)))


def key_of(name: str, without: frozenset[str] = frozenset()) -> Key:
    """Parts that the paths of an image and its mask share: folders without the words for either, splits by one name.

    without: folders that only one of the two is in.
    """
    path = PurePosixPath(name)
    parts = []
    for part in (part for part in path.parent.parts if part not in without):
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


def mask_key(name: str, without: frozenset[str] = frozenset()) -> Key:
    *folders, stem = key_of(name, without)
    return (*folders, SUFFIX.sub('', stem) or stem)


@dataclass(frozen=True)
class ClassFile:
    """A mask of one class of the image whose key this is."""

    key: Key
    name: str
    mask: str


def pair(
    images: Sequence[str], masks: Sequence[str], mask_folders: Sequence[str]
) -> tuple[list[Sample], list[str], list[str], dict[str, str]]:
    """(samples, classes where each has files of its own, faults, {image: what it lacks}).

    mask_folders: as in `Listing`.
    """
    spoken = frozenset(part for folder in map(trimmed, mask_folders) for part in PurePosixPath(folder).parts)
    of_masks = spoken.difference(*(PurePosixPath(name).parent.parts for name in images))
    for of_images in (frozenset[str](), own_folders(images, masks)):
        by_key = {key_of(name, of_images): name for name in images}
        found: dict[Key, list[str]] = {}
        for mask in masks:
            exact = key_of(mask, of_masks)
            found.setdefault(exact if exact in by_key else mask_key(mask, of_masks), []).append(mask)
        if by_key.keys() & found.keys():
            break
    alone = [key for key in found if key not in by_key]
    per_class = [row for key in alone for mask in found[key] for row in class_files(mask, of_masks, by_key)]
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
    incomplete = dict.fromkeys(missing, 'is an image without mask')
    samples = [Sample(name, split_of(name), (found[key][0],)) for key, name in by_key.items() if key in found]
    return samples, [], faults, incomplete


def class_files(mask: str, without: frozenset[str], by_key: Mapping[Key, str]) -> list[ClassFile]:
    """The image and class a mask may belong to: of a.jpg, masks/road/a.png, masks/a/road.png or masks/a_road.png."""
    *folders, stem = key_of(mask, without)
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


def pair_classes(
    by_key: Mapping[Key, str], files: Sequence[ClassFile]
) -> tuple[list[Sample], list[str], list[str], dict[str, str]]:
    """`pair` for files of one class each."""
    classes = sorted({row.name for row in files}, key=lambda name: ('background' not in name.lower(), name))
    of_image: dict[Key, list[ClassFile]] = {key: [] for key in by_key}
    for row in files:
        of_image[row.key].append(row)
    samples = [
        Sample(name, split_of(name), tuple(r.mask for r in rows), tuple(classes.index(r.name) for r in rows))
        for key, name in by_key.items()
        if (rows := of_image[key])
    ]
    missing = [by_key[key] for key, rows in of_image.items() if not rows]
    return samples, classes, [], dict.fromkeys(missing, 'is an image without a mask of any class')
