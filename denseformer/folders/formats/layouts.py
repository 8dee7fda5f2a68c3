"""Layouts that publishers gave their sets: Cityscapes and ADE20K, whose classes are known."""

from pathlib import PurePosixPath

from denseformer.folders.found import IGNORED, Found, Sample
from denseformer.folders.listing import FolderError, Listing, split_of

EXPECTED = 'Cityscapes: leftImg8bit/ and gtFine/ with *_gtFine_labelTrainIds.png; ADE20K: ADE_*.jpg and ADE_*.png'


def recognize_cityscapes(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    """Cityscapes' images and label maps of training ids, or, where they were not made, of ids."""
    images = [name for name in listing.images if name.endswith('_leftImg8bit.png')]
    if not images:
        return None
    from mmseg.datasets import CityscapesDataset

    known = set(listing.names)
    meta = CityscapesDataset.METAINFO
    samples, incomplete, kinds = [], {}, set()
    for image in images:
        stem = image.replace('leftImg8bit/', 'gtFine/').removesuffix('_leftImg8bit.png')
        label = next(
            (
                f'{stem}_gtFine_{kind}.png'
                for kind in ('labelTrainIds', 'labelIds')
                if f'{stem}_gtFine_{kind}.png' in known
            ),
            None,
        )
        if label:
            kinds.add(label.rpartition('_')[2])
            samples.append(Sample(image, split_of(image), (label,)))
        elif split_of(image) != 'test':
            incomplete[image] = f'there is no {stem}_gtFine_labelTrainIds.png'
    if len(kinds) > 1:
        raise FolderError(
            f"'{listing.root}' is laid out as Cityscapes, but some label maps are of training ids and some of ids."
        )
    values = {}
    if kinds == {'labelIds.png'}:
        ids = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
        values = {**dict.fromkeys(range(34), IGNORED), **{stored: i for i, stored in enumerate(ids)}}
    palette = tuple(map(tuple, meta['palette']))
    classes = tuple(meta['classes'])
    return Found('Cityscapes', 'segmentation', tuple(samples), classes, (), palette, values, incomplete=incomplete)


def recognize_ade20k(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    """ADE20K's scene parsing: 150 classes counted from 1, 0 without class."""
    images = [
        name for name in listing.images if PurePosixPath(name).name.startswith('ADE_') and name.lower().endswith('.jpg')
    ]
    labels = {PurePosixPath(name).stem: name for name in listing.images if name.lower().endswith('.png')}
    if not images or not labels:
        return None
    from mmseg.datasets import ADE20KDataset

    stems = {name: PurePosixPath(name).stem for name in images}
    incomplete = {name: f'has no label map {stem}.png' for name, stem in stems.items() if stem not in labels}
    meta = ADE20KDataset.METAINFO
    samples = tuple(Sample(name, split_of(name), (labels[stem],)) for name, stem in stems.items() if stem in labels)
    values = {0: IGNORED, **{stored: stored - 1 for stored in range(1, 151)}}
    palette = tuple(map(tuple, meta['palette']))
    classes = tuple(meta['classes'])
    return Found('ADE20K', 'segmentation', samples, classes, (), palette, values, incomplete=incomplete)
