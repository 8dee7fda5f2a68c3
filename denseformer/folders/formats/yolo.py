"""YOLO's text files: a line for each object, its class and its box or polygon as shares of width and height."""

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from denseformer.folders.found import Found, Sample, Thing, found_things, polygon_thing
from denseformer.folders.listing import FolderError, Listing, listed_splits, split_of

EXPECTED = 'YOLO: labels/NAME.txt for images/NAME.jpg, or beside it, with lines of numbers; names in data.yaml'
OBJECT = re.compile(r'\s*\d+(\s+[-+.\de]+){4}')
NAME_LISTS = ('classes.txt', 'obj.names', 'names.txt', 'labels.txt')


def recognize(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    images: dict[tuple[str, ...], str] = {key_of(name): name for name in listing.images}
    pairs = [(file, images[key_of(file)]) for file in listing.ending('.txt') if key_of(file) in images]
    if not pairs:
        return None
    paired = {file for file, _ in pairs}
    lists = listed_splits(listing)
    names = names or names_in_list(listing)
    samples: list[Sample] = []
    faults, notes = without_image(listing, paired)
    labelled: set[str] = set()
    for file, image in pairs:
        labelled.add(image)
        things = tuple(read_things(listing, file, image, names, faults))
        samples.append(Sample(image, split_of(image) or lists.get(PurePosixPath(image).stem, ''), things=things))
    folders = {PurePosixPath(image).parent for image in labelled}
    samples += [  # without a file of labels an image shows nothing
        Sample(image, split_of(image) or lists.get(PurePosixPath(image).stem, ''))
        for image in listing.images
        if image not in labelled and (PurePosixPath(image).parent in folders or 'images' in key_folders(image))
    ]
    if not names:
        notes.append('the classes have no names: add classes.txt, a name a line')
    return found_things('YOLO txt', listing, samples, names, faults, notes)


def without_image(listing: Listing, paired: Collection[str]) -> tuple[list[str], list[str]]:
    """(faults, notes) of files of objects that belong to no image: beside ones that do, and in other folders."""
    files = [file for file in listing.ending('.txt') if 'labels' in key_folders(file) and file not in paired]
    alone = [file for file in files if holds_objects(listing, file)]
    folders = {PurePosixPath(file).parent for file in paired}
    beside = [file for file in alone if PurePosixPath(file).parent in folders]
    elsewhere = len(alone) - len(beside)
    note = f'{elsewhere} files of labels are in folders to which no image belongs, and are left out'
    return [f'{file}: there is no image of this name' for file in beside], [note] if elsewhere else []


def holds_objects(listing: Listing, file: str) -> bool:
    try:
        return bool(OBJECT.match(listing.text(file)))
    except FolderError:
        return False


def key_folders(name: str) -> list[str]:
    return [part.lower() for part in PurePosixPath(name).parent.parts]


def key_of(name: str) -> tuple[str, ...]:
    """The folders and the name of a file, without suffix and without the folders that tell images from labels."""
    path = PurePosixPath(name)
    return (*(part for part in path.parent.parts if part.lower() not in ('images', 'labels')), path.stem)


def names_in_list(listing: Listing) -> tuple[str, ...]:
    for file in listing.names:
        if PurePosixPath(file).name.lower() in NAME_LISTS:
            return tuple(line.strip() for line in listing.text(file).splitlines() if line.strip())
    return ()


def read_things(listing: Listing, file: str, image: str, names: tuple[str, ...], faults: list[str]) -> list[Thing]:
    """The objects of one file; appends what is wrong to `faults`."""
    lines = [(number, line.split()) for number, line in enumerate(listing.text(file).splitlines(), 1) if line.strip()]
    width, height = listing.size(image) if lines else (1, 1)
    things = []
    for number, fields in lines:
        where = f'{file}, line {number}'
        try:
            label, *values = int(fields[0]), *map(float, fields[1:])
        except ValueError:
            faults.append(f"{where}: '{' '.join(fields)[:40]}' are not a class index and numbers")
            continue
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            faults.append(f'{where}: {len(values)} numbers after the class; a box has 4, a polygon 6, 8, 10 ...')
        elif not all(-0.05 <= value <= 1.05 for value in values):
            faults.append(f'{where}: {max(values, key=abs):g} is no share of the width or height, which are 0 to 1')
        elif len(values) == 4 and min(values[2:]) < 0:
            faults.append(f'{where}: {min(values[2:]):g} is no width or height')
        elif label < 0 or (names and label >= len(names)):
            faults.append(f'{where}: class {label}, but {len(names)} names are given')
        elif len(values) == 4:
            x, y, w, h = values
            box = (x - w / 2) * width, (y - h / 2) * height, w * width, h * height
            things.append(Thing(name_of(label, names), box))
        else:
            points = [(x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True)]
            things.append(polygon_thing(name_of(label, names), points))
    return things


def name_of(label: int, names: tuple[str, ...]) -> str:
    return names[label] if names else f'class {label}'
