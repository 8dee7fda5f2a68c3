"""Masks: one image file for each image, or for each image and class, in parallel folders or beside the images."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from denseformer.datasets.segmentation.label_maps import as_colors, decode_labels
from denseformer.folders.found import IGNORED, Color, Found, Sample
from denseformer.folders.legends import Legend, read_legend
from denseformer.folders.listing import SPLIT_WORDS, FolderError, Listing, listed_splits, some, split_of, words
from denseformer.images.reading import read_bytes

EXPECTED = 'masks: label images of the names of the images, as images/ and masks/, or NAME.jpg and NAME_mask.png'
MASK_WORDS = frozenset(
    'mask masks label labels annotation annotations annot ann anns gt groundtruth truth seg segmentation '  # noqa: SIM905
    'segmentations labelmap labelmaps'.split()
)
IMAGE_WORDS = frozenset('image images img imgs imgdir photo photos picture pictures jpeg input inputs rgb'.split())  # noqa: SIM905
FILLERS = frozenset(('dir', 'class', 'set', 'path'))
SUFFIX = re.compile(r'[-_. ]*(masks?|labels?|labelmap|gt|seg|segmentation|annotations?|L)$')
LOSSLESS = ('.png', '.bmp', '.tif', '.tiff', '.gif', '.webp', '.pgm')
READ = 2000
"""The most masks that are read to learn their values."""
MOST_COLORS = 64
MOST_GRAYS = 24
Key = tuple[str, ...]


def recognize(
    listing: Listing,
    names: tuple[str, ...] = (),
    palette: Sequence[Color] = (),
    values: Mapping[int, int] | None = None,
    ignore: Iterable[int] = (),
) -> Found | None:
    """Label maps, and what their values mean: as the data file says, or a legend, or the values themselves."""
    masks = [name for name in listing.images if is_mask(name)]
    images = [name for name in listing.images if not is_mask(name)]
    if not masks:
        images, masks = beside(listing.images)
    if not masks or not images:
        return None
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
        present = {s.image: frozenset(classes[i] for i in s.label_classes) for s in samples}
        return Found('one mask file per class', 'segmentation', tuple(samples), tuple(classes), present=present)
    return with_meaning(listing, samples, names, palette, values or {}, frozenset(ignore))


def is_mask(name: str) -> bool:
    path = PurePosixPath(name)
    folders = {word for part in path.parent.parts for word in words(part)}
    return bool(folders & MASK_WORDS) or (bool(SUFFIX.search(path.stem)) and path.suffix.lower() in LOSSLESS)


def beside(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """(images, masks) where a.jpg and a.png lie in one folder."""
    photos = {PurePosixPath(name).with_suffix('') for name in names if name.lower().endswith(('.jpg', '.jpeg'))}
    masks = [n for n in names if n.lower().endswith(LOSSLESS) and PurePosixPath(n).with_suffix('') in photos]
    return [name for name in names if name not in set(masks)], masks


def key_of(name: str) -> Key:
    """What the paths of an image and its mask share: folders without the words for either, splits by one name."""
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


def with_meaning(
    listing: Listing,
    samples: Sequence[Sample],
    names: tuple[str, ...],
    palette: Sequence[Color],
    values: Mapping[int, int],
    ignore: frozenset[int],
) -> Found:
    """What the label maps' values stand for, learned from up to `READ` of them."""
    legend = read_legend(listing)
    found = {s.image: stored_values(listing, s.labels[0]) for s in spread(samples, READ)}
    counts = Counter(value for stored in found.values() for value in stored)
    if any(isinstance(value, tuple) for value in counts):  # a file of grays alone is one in colors, too
        counts = Counter(as_color(value) for value in counts)
        found = {image: frozenset(map(as_color, stored)) for image, stored in found.items()}
    colors = [value for value in counts if isinstance(value, tuple)]
    notes = (
        [f'{len(found)} of {len(samples)} masks were read to learn their values'] if len(found) < len(samples) else []
    )
    if colors:
        table, classes = color_classes(listing, sorted(colors), palette, names, legend)
        present = {
            image: frozenset(classes[table[v]] for v in stored if table.get(v, IGNORED) != IGNORED)
            for image, stored in found.items()
        }
        order = {label: color for color, label in reversed(table.items())}
        shown = tuple(order.get(i, (0, 0, 0)) for i in range(len(classes)))
        return Found(
            'masks in colors',
            'segmentation',
            tuple(samples),
            classes,
            (),
            shown,
            {},
            table,
            present,
            notes=tuple(notes),
        )
    table, classes, kind, more = index_classes(sorted(counts), names, values, ignore, legend)
    present = {
        image: frozenset(classes[table.get(v, v)] for v in stored if table.get(v, v) < len(classes))
        for image, stored in found.items()
    }
    shown = tuple(palette) if len(palette) == len(classes) else ()
    return Found(kind, 'segmentation', tuple(samples), classes, (), shown, table, {}, present, notes=(*notes, *more))


def spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many samples, evenly spaced."""
    return (
        list(samples)
        if len(samples) <= most
        else [samples[i] for i in np.linspace(0, len(samples) - 1, most).astype(int)]
    )


def as_color(value: int | Color) -> Color:
    return value if isinstance(value, tuple) else (value, value, value)


def stored_values(listing: Listing, name: str) -> frozenset[int | Color]:
    """The values that occur in a label map: indices, or (R, G, B). Raises FolderError for a file that is no mask."""
    path = str(listing.root / name)
    try:
        labels = as_colors(decode_labels(path, read_bytes(path, 'label map')))
    except ValueError as error:
        raise FolderError(str(error)) from error
    lossy = name.lower().endswith(('.jpg', '.jpeg'))
    if labels.ndim == 2:
        stored = np.unique(labels).tolist()
        if lossy and len(stored) > 2:
            raise FolderError(f"'{path}' has {len(stored)} values; JPEG changes those of masks: store them as PNG.")
        return frozenset(stored)
    packed = labels.astype(np.int64) @ (1 << 16, 1 << 8, 1)
    rows = np.unique(packed)
    if len(rows) > MOST_COLORS:
        advice = (
            'JPEG changes the values of masks: store them as PNG' if lossy else 'masks have one color for each class'
        )
        raise FolderError(f"'{path}' has {len(rows)} colors, too many for a mask; {advice}.")
    return frozenset((int(v) >> 16, int(v) >> 8 & 255, int(v) & 255) for v in rows)


def color_classes(
    listing: Listing, colors: Sequence[Color], palette: Sequence[Color], names: tuple[str, ...], legend: Legend
) -> tuple[dict[Color, int], tuple[str, ...]]:
    """(color -> class, classes). Raises FolderError for colors that the legend lacks."""
    if palette:
        table = {tuple(color): i for i, color in enumerate(palette)}
        classes = names or tuple(f'class {i}' for i in range(len(palette)))
        where = 'the data file'
    elif legend.colors:
        classes = tuple(dict.fromkeys(legend.colors.values()))
        table = {color: classes.index(name) for color, name in legend.colors.items()}
        where = legend.file
    else:
        if len(colors) > MOST_COLORS:
            raise FolderError(
                f"'{listing.root}': the masks have {len(colors)} colors; add a legend: lines of name,r,g,b."
            )
        return {color: i for i, color in enumerate(colors)}, tuple('#{:02x}{:02x}{:02x}'.format(*c) for c in colors)
    unknown = [color for color in colors if color not in table]
    if unknown == [(0, 0, 0)]:
        return {**table, (0, 0, 0): IGNORED}, classes
    if unknown:
        text = ', '.join(map(str, unknown[:8]))
        raise FolderError(f"'{listing.root}': the masks have colors that {where} does not list: {text}. Complete it.")
    return table, classes


def index_classes(
    found: Sequence[int], names: tuple[str, ...], values: Mapping[int, int], ignore: frozenset[int], legend: Legend
) -> tuple[dict[int, int], tuple[str, ...], str, list[str]]:
    """(stored value -> class where they differ, classes, format, notes)."""
    if values or ignore or names:
        known = tuple(names) or tuple(
            f'class {i}'
            for i in range(1 + max((values.get(v, v) for v in found if v not in ignore | {IGNORED}), default=0))
        )
        table = {**{value: IGNORED for value in ignore if value != IGNORED}, **values}
        wrong = [v for v in found if table.get(v, v) >= len(known) and table.get(v, v) != IGNORED]
        if wrong:
            raise FolderError(
                f'the masks have values {wrong}, but {len(known)} names are given: complete names, map or ignore.'
            )
        return table, known, 'masks of class indices', []
    if set(found) == {0, IGNORED}:
        return (
            {IGNORED: 1},
            ('background', legend.names.get(IGNORED) or legend.names.get(1, 'foreground')),
            'masks of 0 and 255',
            [],
        )
    used = [value for value in found if value != IGNORED]
    if legend.names and max(used, default=0) <= max(legend.names):
        known = tuple(legend.names.get(i, f'class {i}') for i in range(max(legend.names) + 1))
        return {}, known, 'masks of class indices', []
    if len(used) <= MOST_GRAYS and max(used, default=0) > 4 * len(used):
        note = f'the masks have gray levels {", ".join(map(str, found))}: each is taken for a class'
        return (
            {value: i for i, value in enumerate(found)},
            tuple(f'gray {value}' for value in found),
            'masks of gray levels',
            [note],
        )
    if 0 not in used and used:
        notes = ['the masks count classes from 1: 0 is taken for pixels without class']
        return (
            {0: IGNORED, **{v: v - 1 for v in range(1, max(used) + 1)}},
            tuple(f'class {v}' for v in range(1, max(used) + 1)),
            'masks of class indices',
            notes,
        )
    notes = ['the classes have no names: add classes.txt, a name a line']
    return {}, tuple(f'class {i}' for i in range(max(used, default=0) + 1)), 'masks of class indices', notes
