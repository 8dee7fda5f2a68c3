"""A split where a folder has none: by class, the same each time, near-duplicates on one side."""

import filecmp
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from denseformer.folders.found import Found, Sample
from denseformer.folders.listing import FolderError, Listing
from denseformer.images.similarity import fingerprint_of_file, near_groups

SHARE = 0.2
"""Share of the images that is held out for validation."""
MOST = 1000
"""Images held out from large sets."""
COMPARED = 1 << 14
"""Bytes at the beginning and the end of files of one size that are hashed before the whole of two is compared."""
LARGEST_GROUP = 0.2
"""Share of the images from which a group of near-duplicates is divided: one side could not hold it."""


def with_splits(found: Found, listing: Listing) -> Found:
    """`found`, every sample of which is in 'train', 'val' or 'test', with a training and a validation split.

    Where the folder has no validation images, a fifth of the others is held out, at most `MOST`, and whole videos; test
    images stay test images. Images without a split beside ones that have one are trained on. Raises FolderError for
    fewer than two images, or videos, to train and validate on.
    """
    samples = [replace(sample, split=sample.split or 'train') for sample in found.samples]
    if any(sample.split == 'val' for sample in samples) and any(sample.split == 'train' for sample in samples):
        return replace(found, samples=tuple(samples), notes=(*found.notes, *copies(samples, listing)))
    pool = [sample for sample in samples if sample.split != 'test'] or samples
    if len(pool) < 2:
        raise FolderError(
            f"'{listing.root}' has {len(pool)} labelled images; one to train and one to validate are needed."
        )
    groups, notes = (videos(pool, listing), []) if found.task == 'video' else group(pool, listing)
    held_out = choose(groups, found, min(SHARE, MOST / len(pool)))
    split = [replace(sample, split='val' if sample.image in held_out else 'train') for sample in pool]
    rest = [sample for sample in samples if sample.split == 'test'] if len(pool) < len(samples) else []
    note = f'no validation split: {len(held_out)} of {len(pool)} images were held out'
    return replace(found, samples=(*split, *rest), notes=(*found.notes, note, *notes))


def copies(samples: Sequence[Sample], listing: Listing) -> list[str]:
    """A note where the files of validation images are copies of those of training images.

    At most `MOST` validation images are looked at. The doctor finds near-duplicates, too.
    """
    train = [listing.root / sample.image for sample in samples if sample.split == 'train']
    val = [listing.root / sample.image for sample in samples if sample.split == 'val']
    looked = val[:: -(-len(val) // MOST)]
    sizes = {path.stat().st_size for path in looked}
    known = {both_ends(path): path for path in train if path.stat().st_size in sizes}
    found = [(path, other) for path in looked if (other := known.get(both_ends(path)))]
    found = [pair for pair in found if filecmp.cmp(*pair, shallow=False)]
    if not found:
        return []
    example = ' = '.join(path.relative_to(listing.root).as_posix() for path in found[0])
    return [f'{len(found)} of {len(looked)} validation images looked at are copies of training images ({example})']


def both_ends(path: Path) -> bytes:
    """A hash of the size, the beginning and the end of a file."""
    size = path.stat().st_size
    with path.open('rb') as file:
        beginning = file.read(COMPARED)
        file.seek(max(COMPARED, size - COMPARED))
        return hashlib.sha1(b'%d ' % size + beginning + file.read(COMPARED), usedforsecurity=False).digest()


def videos(samples: Sequence[Sample], listing: Listing) -> list[list[Sample]]:
    """The frames of each video. Raises FolderError for a single one."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(PurePosixPath(sample.image).parent.name, []).append(sample)
    if len(found) < 2:
        raise FolderError(f"'{listing.root}' has one video; one to train and one to validate are needed.")
    return list(found.values())


def group(samples: Sequence[Sample], listing: Listing) -> tuple[list[list[Sample]], list[str]]:
    """(samples in groups of near-duplicates, notes)."""
    prints = {s.image: fingerprint_of_file(listing.root / s.image) for s in samples}
    by_name = {sample.image: sample for sample in samples}
    grouped = near_groups({name: mark for name, mark in prints.items() if mark is not None})
    alone = [[name] for name, mark in prints.items() if mark is None]
    notes, result = [], []
    for names in [*grouped, *alone]:
        if len(names) > max(2, LARGEST_GROUP * len(samples)):
            notes.append(f'{len(names)} of {len(samples)} images look alike ({names[0]} ...): the split divides them')
            result += [[by_name[name]] for name in names]
        else:
            result.append([by_name[name] for name in names])
    several = [names for names in result if len(names) > 1]
    if several:
        notes.append(
            f'{sum(map(len, several))} images are near-duplicates of others; each group is on one side of the split'
        )
    return result, notes


def choose(groups: Sequence[Sequence[Sample]], found: Found, share: float) -> set[str]:
    """The images that are held out: of each class its share, the rarest class first, then of all images.

    The order in which groups are taken follows from hashes of their names, so that it is arbitrary and stays the same.
    One group at least is left to train on, and of each class, where it has two.
    """
    classes = [frozenset(name for sample in part for name in found.classes_of(sample)) for part in groups]
    order = sorted(
        range(len(groups)), key=lambda i: hashlib.sha1(groups[i][0].image.encode(), usedforsecurity=False).digest()
    )
    counts = Counter(name for i in order for name in classes[i])
    taken: dict[int, None] = {}
    held: Counter[str] = Counter()

    def take(i: int) -> None:
        taken[i] = None
        held.update(classes[i])

    def leaves_rest(i: int) -> bool:
        return i not in taken and all(counts[name] - held[name] > 1 for name in classes[i])

    def has_enough(i: int) -> bool:
        return any(held[name] >= wanted[name] for name in classes[i])

    wanted = {name: max(round(share * count), 1) if count > 1 else 0 for name, count in counts.items()}
    for name in sorted(counts, key=lambda name: (counts[name], name)):
        free = [i for i in order if name in classes[i]]
        for i in sorted(free, key=has_enough):  # those without a class that has its share already come first
            if held[name] < wanted[name] and leaves_rest(i):
                take(i)
    target = max(round(share * sum(map(len, groups))), 1)
    size = sum(len(groups[i]) for i in taken)
    for i in sorted(order, key=has_enough):
        if size < target and leaves_rest(i):
            take(i)
            size += len(groups[i])
    if not taken:
        take(order[0])
    return {sample.image for i in taken for sample in groups[i]}
