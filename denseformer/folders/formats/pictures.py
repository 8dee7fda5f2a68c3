"""Restoration: pairs of a degraded image and its target in parallel folders, or targets alone."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from denseformer.datasets.restoration.image_folders import missing_wild
from denseformer.folders.found import Found, Sample
from denseformer.folders.listing import (
    SPLIT_WORDS,
    FolderError,
    Listing,
    image_words,
    most_common,
    some,
    split_of,
    words,
)
from denseformer.images.reading import read_image

EXPECTED_PAIRS = 'pairs: two folders of the same names, such as input/ and target/, or LR/ and HR/'
EXPECTED_ALONE = 'images alone: high-resolution images and no labels, for super-resolution'
DEGRADED = frozenset(
    'input inputs rain rainy noise noisy blur blurry blurred haze hazy snow snowy lq lr low degraded jpeg'.split()  # noqa: SIM905
)
TARGET = frozenset('target targets gt clean clear sharp hq hr high groundtruth original norain ground'.split())  # noqa: SIM905
ROLES = DEGRADED | TARGET | frozenset(SPLIT_WORDS)
SCALE_FOLDER = re.compile(r'^[xX]\d$')
SCALES = (2, 3, 4, 8)
SCALE_SUFFIX = re.compile(rf'x[{"".join(map(str, SCALES))}]([dm]|w[1-4]?)?$')
"""Ends that DIV2K adds to the names of degraded images; see `degraded_names`."""
PREFERRED_SCALE = 4
LABEL_SUFFIXES = (
    '.json',
    '.jsonl',
    '.ndjson',
    '.geojson',
    '.xml',
    '.csv',
    '.parquet',
    '.tfrecord',
    '.mat',
    '.npy',
    '.npz',
)
LOOKED_AT = 20
ALONE_SCALE = 2


def recognize_pairs(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    """Pairs whose folders say which is which; of several scales the one that is most used, x4, or else the smallest."""
    inputs, targets = folders_of(listing, DEGRADED), folders_of(listing, TARGET)
    inputs = {name: folder for name, folder in inputs.items() if name not in targets}
    if not inputs or not targets:
        return None
    if looks_like_mask(listing, next(iter(targets))):
        return None
    scales: dict[int, list[Sample]] = {}
    faults: list[str] = []
    incomplete: dict[str, str] = {}
    used: set[str] = set()
    by_key: dict[tuple[str, ...], list[str]] = {}
    keys = {key_of(name) for name in targets}
    for name in inputs:
        *folders, stem = key = key_of(name)
        by_key.setdefault(key if key in keys else (*folders, SCALE_SUFFIX.sub('', stem)), []).append(name)
    for name in targets:
        found = by_key.get(key_of(name), [])
        used.update(found)
        if not found:
            incomplete[name] = 'is a target without an image of its name'
        if wild := wild_lacking(name, found):
            incomplete[name] = f'is a target without some of its wild images, {", ".join(wild)}'
            continue
        for image in found:
            scale = scale_of(listing, image, name)
            if scale is None:
                faults.append(
                    f'{image}: is {listing.size(image)}, its target {listing.size(name)}, no multiple of that'
                )
            else:
                scales.setdefault(scale, []).append(Sample(name, split_of(name), (image,), size=listing.size(name)))
    # Test images are often published without targets.
    missing = [name for name in inputs if name not in used and split_of(name) != 'test']
    incomplete |= dict.fromkeys(missing, 'is an image without a target of its name')
    if faults or not scales:
        faults = [*(f'{name}: {lack}' for name, lack in incomplete.items()), *faults]
        raise FolderError(f"'{listing.root}' seems to hold pairs of images, but:\n{some(faults)}")
    scale = PREFERRED_SCALE if PREFERRED_SCALE in scales else min(scales)
    check_one_degradation(listing, scales[scale])
    notes = (
        (f'there are images for x{", x".join(map(str, sorted(scales)))}: x{scale} is taken',) if len(scales) > 1 else ()
    )
    task = 'restoration' if scale == 1 else 'super-resolution'
    return Found('pairs of images', task, tuple(scales[scale]), scale=scale, notes=notes, incomplete=incomplete)


def wild_lacking(target: str, images: Sequence[str]) -> list[str]:
    """Names of the wild images of a target that are not among its degraded images, where others are."""
    stems = {PurePosixPath(image).stem for image in images}
    return [name for scale in SCALES for name in missing_wild(PurePosixPath(target).stem, scale, stems)]


def check_one_degradation(listing: Listing, samples: Sequence[Sample]) -> None:
    """Raise FolderError for a target with degraded images in several folders."""
    folders: dict[str, set[str]] = {}
    for sample in samples:
        folders.setdefault(sample.image, set()).add(str(PurePosixPath(sample.labels[0]).parent))
    target, several = max(folders.items(), key=lambda item: len(item[1]))
    if len(several) > 1:
        raise FolderError(
            f"'{listing.root}' holds several degradations: images of {target} are in {', '.join(sorted(several))}. "
            'Keep the folders of one, and move the others out.'
        )


def recognize_alone(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    """Images beside which nothing looks like a label."""
    if not listing.images:
        return None
    samples = tuple(Sample(name, split_of(name)) for name in listing.images)
    note = f'images without labels: they are made smaller, x{ALONE_SCALE}, and learned from'
    return Found('images alone', 'super-resolution', samples, scale=ALONE_SCALE, notes=(note,))


def signs_of_labels(listing: Listing, names: tuple[str, ...]) -> list[str]:
    """Reasons to think that images have labels in a form that is not known, or are labels themselves.

    names: of classes, as a data file gives them.
    """
    masks = seeming_masks(listing)
    labels = [*listing.ending(*LABEL_SUFFIXES), *(name for name in listing.ending('.txt') if image_words(name) < 0)]
    return [
        *([f'a data file names classes: {", ".join(names[:5])}'] if names else []),
        *(
            f'{name}: {"cannot be read as json" if is_broken(listing, name) else "labels of no known format"}'
            for name in labels[:5]
        ),
        *(f'{name}: has as few colors as a mask' for name in masks[:5]),
    ]


def looked_at(listing: Listing) -> list[str]:
    """Some images of all folders."""
    return listing.images[:: -(-len(listing.images) // LOOKED_AT) or 1]


def seeming_masks(listing: Listing) -> list[str]:
    """The files that look like masks, of some that are looked at; none where these are few."""
    looked = looked_at(listing)
    masks = [name for name in looked if looks_like_mask(listing, name)]
    return masks if len(masks) > len(looked) / 4 else []


def how_to_name(listing: Listing) -> str:
    """Advice on how to name files that look like masks, or their folder, to have them taken for masks; '' for none."""
    masks = seeming_masks(listing)
    if not masks:
        return ''
    around = {part for name in {*looked_at(listing)} - {*masks} for part in PurePosixPath(name).parent.parts}
    folders = [part for name in masks for part in PurePosixPath(name).parent.parts if part not in around]
    ways = (
        f"call the folder masks/, or name it in data.yaml, 'masks: {most_common(folders)}'"
        if folders
        else 'call them NAME_mask.png, or put them into a folder masks/'
    )
    return f'\nIf {masks[0]} is a mask of an image, {ways}.'


def is_broken(listing: Listing, name: str) -> bool:
    return name.lower().endswith('.json') and listing.json(name) is None


def key_of(name: str) -> tuple[str, ...]:
    """Parts that the paths of an image and its target share: split, other folders, and the name without suffix."""
    path = PurePosixPath(name)
    others = [part for part in path.parent.parts if not {*words(part)} & ROLES and not SCALE_FOLDER.match(part)]
    return (split_of(name), *others, path.stem)


def folders_of(listing: Listing, kinds: frozenset[str]) -> dict[str, str]:
    """{image: its folder of one of these kinds}."""
    found = {}
    for name in listing.images:
        for part in PurePosixPath(name).parent.parts:
            spoken = {word for word in words(part) if word not in SPLIT_WORDS}
            if spoken & kinds:
                found[name] = part
    return found


def scale_of(listing: Listing, image: str, target: str) -> int | None:
    """How many times larger the target is; None where it is no whole number of times."""
    (width, height), (wide, high) = listing.size(image), listing.size(target)
    scale = wide // width
    return scale if scale >= 1 and (wide // scale, high // scale) == (width, height) else None


def looks_like_mask(listing: Listing, name: str) -> bool:
    """Whether an image has so few values that it seems to be a label map; no for one that cannot be read."""
    try:
        pixels = read_image(listing.root / name).pixels
    except ValueError:
        return False
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1])[:: max(1, pixels.size // 300_000)], axis=0)) <= 32
