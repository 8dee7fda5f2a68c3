"""From a folder or data file to a dataset: the formats are tried in turn, and what the data file says is applied."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from denseformer.folders.data_file import DataFile, data_file_of
from denseformer.folders.formats import coco, cvat, label_studio, labelme, layouts, masks, pictures, videos, voc, yolo
from denseformer.folders.formats.mask_values import Said, with_meaning
from denseformer.folders.found import IGNORED, TASKS, Found, Sample, without_outlines
from denseformer.folders.listing import FolderError, Listing, some
from denseformer.folders.splitting import with_splits
from denseformer.images.completeness import faults_of
from denseformer.suggestions import did_you_mean

FEW = 5
MEASURED = 200
"""Images whose size is compared with the one in their annotations."""
Recognize = Callable[[Listing, tuple[str, ...]], Found | None]
FORMATS: tuple[tuple[str, tuple[str, ...], Recognize], ...] = (
    (coco.EXPECTED, ('instances', 'detection'), coco.recognize),
    ("COCO panoptic: the same with 'segments_info', and a folder of maps", ('panoptic',), coco.recognize_panoptic),
    (cvat.EXPECTED, ('instances', 'detection'), cvat.recognize),
    (voc.EXPECTED, ('detection',), voc.recognize),
    (labelme.EXPECTED, ('instances', 'detection'), labelme.recognize),
    (label_studio.EXPECTED, ('instances', 'detection'), label_studio.recognize),
    (yolo.EXPECTED, ('instances', 'detection'), yolo.recognize),
    (layouts.EXPECTED, ('segmentation',), layouts.recognize_cityscapes),
    ('', ('segmentation',), layouts.recognize_ade20k),
    (pictures.EXPECTED_PAIRS, ('restoration', 'super-resolution'), pictures.recognize_pairs),
    (masks.EXPECTED, ('segmentation',), masks.recognize),
    (pictures.EXPECTED_ALONE, ('super-resolution',), pictures.recognize_alone),
    (videos.EXPECTED, ('video',), videos.recognize),
)
"""(how the format looks, tasks it serves, its function), the most telling first; masks come before the
videos that they may be frames of."""


def understand(data: str, task: str = 'auto') -> tuple[Found, Listing]:
    """Recognise a folder, or what a data file describes, split it into training and validation, and list its files.

    task: one of `TASKS`, where the folder serves several.
    Raises FolderError, which lists what was expected and what is there, for a folder that nothing recognises, and file
    by file what is wrong for one that is recognised and broken.
    """
    file = data_file_of(data)
    task = file.task if task == 'auto' else task
    if task not in ('auto', *TASKS):
        raise FolderError(f"There is no task '{task}'; there are {', '.join(TASKS)}.{did_you_mean(task, TASKS)}")
    listing = Listing(file.path, file.masks)
    found = with_places(recognize(listing, task, file), listing, file)
    check_files(found, listing)
    if found.task == 'segmentation' and not found.classes:
        numbers = frozenset(value for value in file.ignore if isinstance(value, int))
        found = with_meaning(found, listing, Said(file.names, file.palette, file.map, numbers))
    found = with_data_file(found, file)
    if task in ('detection', 'instances') and found.task != task:
        if task == 'instances':
            raise FolderError(
                f"'{listing.root}' ({found.format}) has boxes without outlines; --task detection learns boxes."
            )
        found = replace(found, task=task, samples=tuple(map(without_outlines, found.samples)))
    found = with_splits(found, listing)
    return replace(found, notes=(*found.notes, *turned(found, listing), *doubts(found))), listing


def check_files(found: Found, listing: Listing) -> None:
    """Raise FolderError, which lists them, for images and label maps that are empty, truncated, or links to nothing."""
    names = dict.fromkeys(name for sample in found.samples for name in (sample.image, *sample.labels))
    faults = faults_of(listing.root / name for name in names)
    if faults:
        raise FolderError(f"'{listing.root}' ({found.format}) has files that cannot be read:\n{some(faults.values())}")


def turned(found: Found, listing: Listing) -> list[str]:
    """A note where sizes in the annotations are those of images before their EXIF tag turns them."""
    known = [sample for sample in found.samples if sample.size]
    looked = known[:: -(-len(known) // MEASURED)] if known else []
    wrong = [s.image for s in looked if s.size != (size := listing.size(s.image)) and s.size == size[::-1]]
    text = (
        f'{len(wrong)} of {len(looked)} images looked at are turned by their EXIF tag, and their annotations give the '
        f'size before ({wrong[0] if wrong else ""} ...): if boxes are off, store the images upright'
    )
    return [text] if wrong else []


def doubts(found: Found) -> list[str]:
    """Classes that are too rare to learn, or to score."""
    shown = {split: Counter(n for s in found.of(split) for n in found.classes_of(s)) for split in ('train', 'val')}
    rare = [name for name in found.classes if shown['train'][name] < FEW]
    unscored = [name for name in found.classes if shown['train'][name] and not shown['val'][name]]
    known = sum(shown['train'].values())
    return [
        *([f'fewer than {FEW} training images show {", ".join(rare)}'] if rare and known else []),
        *([f'no validation image shows {", ".join(unscored)}'] if unscored else []),
    ]


def recognize(listing: Listing, task: str, file: DataFile) -> Found:
    """Recognise the files by the first format that fits the task."""
    if file.masks and task not in ('auto', 'segmentation'):
        raise FolderError(
            f"'{file.path}': masks in the data file names folders of label maps, from which segmentation learns; the "
            f'task is {task}. Take masks out of the data file, or the task.'
        )
    doubtful: list[str] = []
    tried = [row for row in FORMATS if task in ('auto', *row[1]) and (not file.masks or row[2] is masks.recognize)]
    for _, _, function in tried:
        found = function(listing, file.names)
        if found is not None and task == 'auto' and function is pictures.recognize_alone:
            doubtful = pictures.signs_of_labels(listing, file.names)
        if found is not None and not doubtful:
            return found
    advice = pictures.how_to_name(listing) if task in ('auto', 'segmentation') else ''
    expected = [text for text, _, _ in tried if text]
    raise FolderError(
        f"'{listing.root}': nothing here is a dataset{'' if task == 'auto' else f' for {task}'}. Expected is one of\n"
        f'{some(expected, 20)}\nFound are\n{some(listing.summary())}'
        + (
            f'\nImages alone, which --task super-resolution asks for, they do not seem to be:\n{some(doubtful)}'
            * bool(doubtful)
        )
        + advice
    )


def with_data_file(found: Found, file: DataFile) -> Found:
    """`found` without the classes that a data file merges, drops or ignores.

    Raises FolderError for what the data file says and the format has no use for.
    """
    strange = [name for name in file.names if name not in found.classes]
    if strange:
        known = f'its classes are {", ".join(found.classes)}' if found.classes else 'it has no classes'
        raise FolderError(f"'{file.path}' is {found.format}: {known}; names lists {', '.join(strange)}.")
    if found.task != 'segmentation' and (file.palette or file.map or any(isinstance(v, int) for v in file.ignore)):
        raise FolderError(f"'{file.path}' is {found.format}: palette, map and ignored values are for masks of classes.")
    ignored = [str(name) for name in file.ignore if isinstance(name, str)]
    return relabelled(found, file.merge, (*file.drop, *ignored)) if file.merge or file.drop or ignored else found


def with_places(found: Found, listing: Listing, file: DataFile) -> Found:
    """`found` with the images in folders and lists that a data file names, where it names any, and their splits.

    Raises FolderError for images among these that lack a label or a partner.
    """
    places = {
        split: [place for said in getattr(file, split) for place in places_of(said, file)]
        for split in ('test', 'val', 'train')
    }
    named = any(places.values())
    asked = [image for image in found.incomplete if not named or split_named(image, places) in ('train', 'val')]
    if asked:
        listed = some(f'{image}: {found.incomplete[image]}' for image in asked)
        raise FolderError(
            f"'{listing.root}' ({found.format}) is incomplete:\n{listed}\nGive each image what it lacks, remove it, or "
            'leave it out: train and val of a data file (data.yaml) name the folders, or lists, that count.'
        )
    if not named:
        return found
    samples = tuple(split_by(found.samples, places, file))
    left_out = len(found.samples) - len(samples)
    unlabelled = sum(split_named(image, places) is None for image in found.incomplete)
    outside = 'in no folder or list that the data file names, and are left out'
    notes = [
        *([f'{left_out} labelled images are {outside}'] if left_out else []),
        *([f'{unlabelled} images without a label or a partner are {outside}'] if unlabelled else []),
    ]
    return replace(found, samples=samples, notes=(*found.notes, *notes), incomplete={})


def split_named(image: str, places: Mapping[str, Sequence[str]]) -> str | None:
    """The split whose folders or lists, {split: folders or images}, an image is in."""
    return next((split for split, inside in places.items() if any(is_in(image, place) for place in inside)), None)


def split_by(samples: Sequence[Sample], places: Mapping[str, Sequence[str]], file: DataFile) -> list[Sample]:
    """The samples in the folders and lists that a data file names, by them; others are left out."""
    result = []
    for sample in samples:
        split = split_named(sample.image, places)
        if split:
            result.append(replace(sample, split=split))
    for split, inside in places.items():
        if inside and not any(sample.split == split for sample in result):
            raise FolderError(f"'{file.path}': no labelled image is in {split}: {', '.join(inside[:3])}.")
    return result


def places_of(said: str, file: DataFile) -> list[str]:
    """Folders or images below the root that `said` names: itself, or the lines of a list of images."""
    path = PurePosixPath(said.replace('\\', '/'))
    parts = [part for part in path.parts if part not in ('.', '..', '/')]
    name = '/'.join(parts)
    if name.endswith('.txt'):
        place = file.path / name
        if not place.is_file():
            raise FolderError(f"'{file.path}': there is no list '{name}'.")
        return [
            PurePosixPath(line.strip()).as_posix().removeprefix('./')
            for line in place.read_text().splitlines()
            if line.strip()
        ]
    root = file.path.as_posix().strip('/')
    inside = name.removeprefix(root).strip('/')
    if inside and not (file.path / inside).exists():
        raise FolderError(f"'{file.path}': there is no folder '{inside}'.")
    return [inside]


def is_in(image: str, place: str) -> bool:
    return not place or image == place or image.startswith(f'{place}/')


def relabelled(found: Found, merge: Mapping[str, Sequence[str]], drop: Sequence[str]) -> Found:
    """`found` with classes merged and dropped; what is dropped is ignored in masks and left out of boxes.

    Raises FolderError for classes that are not there.
    """
    named = [name for parts in merge.values() for name in parts] + list(drop)
    unknown = [name for name in named if name not in found.classes]
    if unknown:
        raise FolderError(f'merge or drop name {unknown[0]}, but the classes are {", ".join(found.classes)}.')
    if found.task == 'panoptic':
        raise FolderError('merge and drop are for masks and boxes; panoptic maps keep their classes.')
    per_class = any(sample.label_classes for sample in found.samples)
    if per_class and found.classes[0] in named:
        raise FolderError(f"'{found.classes[0]}' is what no mask covers; it can be neither merged nor dropped.")
    becomes = {name: name for name in found.classes if name not in drop}
    becomes |= {part: name for name, parts in merge.items() for part in parts}
    classes = tuple(dict.fromkeys(becomes[name] for name in found.classes if name in becomes))
    label = [classes.index(becomes[name]) if name in becomes else IGNORED for name in found.classes]
    stored = {index: index for index in range(len(found.classes))} | dict(found.values)
    samples = tuple(relabelled_sample(sample, becomes, label) for sample in found.samples)
    return replace(
        found,
        samples=samples,
        classes=classes,
        palette=tuple(color for color, new in zip(found.palette, label, strict=False) if new != IGNORED)[: len(classes)]
        if not merge
        else (),
        values={} if found.colors or per_class else {value: new_label(old, label) for value, old in stored.items()},
        colors={color: new_label(old, label) for color, old in found.colors.items()},
        present={image: frozenset(becomes[n] for n in names if n in becomes) for image, names in found.present.items()},
    )


def new_label(old: int, label: Sequence[int]) -> int:
    return label[old] if old < len(label) else IGNORED


def relabelled_sample(sample: Sample, becomes: Mapping[str, str], label: Sequence[int]) -> Sample:
    things = tuple(replace(thing, name=becomes[thing.name]) for thing in sample.things if thing.name in becomes)
    return replace(sample, things=things, label_classes=tuple(new_label(i, label) for i in sample.label_classes))
