"""Names of classes, and their colors, from the small files that lie beside masks."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from denseformer.folders.found import Color
from denseformer.folders.listing import Listing
from denseformer.images.folders import IMAGES

LEGEND = re.compile(r'(class|label|color|colour|palette|name|legend|map|codes)', re.IGNORECASE)
NUMBER = re.compile(r'^\d+$')


@dataclass(frozen=True)
class Legend:
    """names: stored value -> class; colors: color -> class; file: where they stand, '' for nowhere.

    numbered: whether the file says the values, which are 0, 1, 2 ... otherwise; ignored: values that do not count.
    """

    file: str = ''
    names: dict[int, str] = field(default_factory=dict)
    colors: dict[Color, str] = field(default_factory=dict)
    numbered: bool = False
    ignored: frozenset[int] = frozenset()


def read_legend(listing: Listing) -> Legend:
    """The first file that lists classes: a line for each, with its color or its value, or with neither.

    Understood are commas, tabs, blanks and colons between fields, as in CamVid's label_colors.txt, class_dict.csv,
    Roboflow's _classes.csv, CVAT's labelmap.txt and plain lists of names.
    """
    for file in listing.ending('.txt', '.csv', '.names'):
        if LEGEND.search(PurePosixPath(file).stem) or file.endswith('.names'):
            legend = parse(file, listing.text(file))
            names = [*legend.names.values(), *legend.colors.values()]
            if names and not are_images(listing, names):
                return legend
    return Legend()


def are_images(listing: Listing, names: Sequence[str]) -> bool:
    """Whether a list is one of images, by their suffix or without."""
    by_suffix = any(PurePosixPath(name).suffix.lower() in IMAGES for name in names)
    return by_suffix or all(listing.images_called(name) for name in names)


def parse(file: str, text: str) -> Legend:
    names: dict[int, str] = {}
    colors: dict[Color, str] = {}
    plain: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        fields = split_fields(line)
        numbers = [int(part) for part in fields if NUMBER.match(part)]
        name = ' '.join(part for part in fields if not NUMBER.match(part))
        if not name or (not numbers and name.lower().startswith(('name r g b', 'pixel value'))):
            continue
        if len(numbers) >= 3 and max(numbers[-3:]) <= 255:
            red, green, blue = numbers[-3:]
            colors[red, green, blue] = name
        elif len(numbers) == 1:
            names[numbers[0]] = name
        elif not numbers:
            plain.append(name)
    numbered = bool(names)
    if not names and not colors:
        names = dict(enumerate(plain))
    return Legend(file, names, colors, numbered)


def split_fields(line: str) -> list[str]:
    """The fields of a line, whatever stands between them; blanks divide where nothing else does."""
    if ':' in line:  # CVAT: name:r,g,b:parts:actions
        line = ','.join(line.split(':')[:2])
    row = next(csv.reader([line], delimiter=',' if ',' in line else '\t' if '\t' in line else ' '))
    parts = [part.strip() for part in row if part.strip()]
    return [piece for part in parts for piece in (part.split() if re.match(r'^[\d ]+$', part) else [part])]
