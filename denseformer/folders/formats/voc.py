"""Pascal VOC's xml files, one an image, in `Annotations` or beside the images, as Roboflow exports them."""

import re
from pathlib import PurePosixPath
from xml.etree import ElementTree

from denseformer.folders.found import Found, Sample, Thing, found_things
from denseformer.folders.listing import Listing, listed_splits, split_of

BEGINNING = re.compile(r'<annotation[\s>]')
EXPECTED = 'Pascal VOC: an xml file <annotation> for each image, in Annotations/ or beside it'


def recognize(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    from denseformer.datasets.detection.voc import objects_in

    files = [file for file in listing.ending('.xml') if BEGINNING.search(listing.text(file)[:2000])]
    if not files:
        return None
    lists = listed_splits(listing)
    samples, faults = [], []
    for file in files:
        stem = PurePosixPath(file).stem
        try:
            root = ElementTree.fromstring(listing.text(file))
            objects = [*objects_in(root)]
        except (ElementTree.ParseError, ValueError) as error:
            faults.append(f'{file}: {error}')
            continue
        said = (root.findtext('filename') or '').strip().replace('\\', '/')
        path = PurePosixPath(said)
        first = said if path.stem == stem else stem + path.suffix  # what is said is often the name of another file
        image = listing.find_image(first, file) or listing.find_image(said, file)
        if image is None:
            faults.append(f'{file}: there is no image {stem}.*')
            continue
        things = tuple(
            Thing(name, (left, top, right - left, bottom - top), ignored=difficult)
            for name, difficult, (left, top, right, bottom) in objects
        )
        samples.append(Sample(image, split_of(image) or lists.get(stem, ''), things=things))
    if lists:  # images on no list belong to no split of their publisher
        samples = [sample for sample in samples if sample.split]
    return found_things('Pascal VOC xml', listing, samples, names, faults)
