"""CVAT's own xml file ("CVAT for images"): one `<annotations>` for all images, with boxes and polygons."""

from xml.etree import ElementTree

from denseformer.folders.found import Found, Sample, Thing, found_things, polygon_thing
from denseformer.folders.listing import SPLIT_WORDS, Listing, split_of

EXPECTED = 'CVAT: an xml file <annotations> with <image name=...> and in it <box> and <polygon>'


def recognize(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    files = [file for file in listing.ending('.xml') if '<annotations' in listing.text(file)[:2000]]
    if not files:
        return None
    samples, faults, left_out = [], [], 0
    classes = dict.fromkeys(names)
    for file in files:
        try:
            root = ElementTree.fromstring(listing.text(file))
        except ElementTree.ParseError as error:
            faults.append(f'{file}: {error}')
            continue
        if root.find('track') is not None:
            faults.append(f'{file}: holds tracks of a video; export it as "CVAT for images 1.1"')
            continue
        if not names:
            classes |= dict.fromkeys(name.text or '' for name in root.iterfind('meta//labels/label/name'))
        for row in root.iterfind('image'):
            said = row.get('name') or ''
            image = listing.find_image(said, file)
            if image is None:
                faults.append(f"{file}: the image '{said}' is not there")
                continue
            try:
                things = [thing_of(shape) for shape in row]
                size = int(row.get('width', '')), int(row.get('height', ''))
            except (TypeError, ValueError) as error:
                faults.append(f"{file}: image '{said}': {error}")
                continue
            left_out += things.count(None)
            split = SPLIT_WORDS.get((row.get('subset') or '').lower(), '') or split_of(image)
            samples.append(Sample(image, split, things=tuple(t for t in things if t), size=size))
    notes = [f'{left_out} points, lines, masks, tags and turned boxes are left out'] if left_out else []
    return found_things('CVAT xml', listing, samples, tuple(classes), faults, notes)


def thing_of(shape: ElementTree.Element) -> Thing | None:
    """The object of a box or polygon; None for other shapes, and for boxes that are turned."""
    name = shape.get('label') or ''
    if shape.tag == 'box' and float(shape.get('rotation') or 0) == 0:
        left, top, right, bottom = (float(shape.get(side, '')) for side in ('xtl', 'ytl', 'xbr', 'ybr'))
        return Thing(name, (left, top, right - left, bottom - top))
    if shape.tag == 'polygon':
        points = [tuple(map(float, point.split(','))) for point in shape.get('points', '').split(';')]
        return polygon_thing(name, [(x, y) for x, y in points])
    return None
