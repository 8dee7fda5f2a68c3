"""Classes that the values of masks stand for: by the data file, by a legend beside them, or the values themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from denseformer.datasets.segmentation.label_maps import as_colors, decode_labels
from denseformer.folders.found import IGNORED, Color, Found, Sample
from denseformer.folders.legends import Legend, read_legend
from denseformer.folders.listing import FolderError, Listing
from denseformer.images.reading import read_bytes

READ = 2000
"""The most masks that are read to learn their values."""
MOST_COLORS = 64
MOST_GRAYS = 24
Value = int | Color
"""A stored index, or a color."""


@dataclass(frozen=True)
class Said:
    """The statements of a data file about masks; see `data_file`."""

    names: tuple[str, ...] = ()
    palette: tuple[Color, ...] = ()
    values: Mapping[int, int] = field(default_factory=dict)
    ignore: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Meaning:
    """values, colors: stored value -> class, 255 where it does not count; indices that are not in it are classes."""

    format: str
    classes: tuple[str, ...]
    values: Mapping[int, int] = field(default_factory=dict)
    colors: Mapping[Color, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def present(self, stored: frozenset[Value]) -> frozenset[str]:
        """The classes of the values of a mask."""
        labels = [self.label(value) for value in stored]
        return frozenset(self.classes[label] for label in labels if label < len(self.classes))

    def label(self, value: Value) -> int:
        if self.colors:
            return self.colors.get(as_color(value), IGNORED)
        assert isinstance(value, int), 'without colors all values are indices'
        return self.values.get(value, value)


def with_meaning(listing: Listing, samples: Sequence[Sample], said: Said) -> Found:
    """The dataset of these label maps, whose values are learned from up to `READ` of them.

    Raises FolderError for files that are no masks, and for values that a legend or the data file does not list.
    """
    legend = read_legend(listing)
    stored = {sample.image: stored_values(listing, sample.labels[0]) for sample in spread(samples, READ)}
    values = {value for found in stored.values() for value in found}
    indices = sorted(value for value in values if isinstance(value, int))
    if len(indices) == len(values):
        meaning = of_indices(indices, said, legend)
        palette = said.palette
    else:  # a file of grays alone is one in colors, too
        meaning = of_colors(listing, sorted({as_color(value) for value in values}), said, legend)
        shown = {label: color for color, label in reversed([*meaning.colors.items()])}
        palette = tuple(shown.get(i, (0, 0, 0)) for i in range(len(meaning.classes)))
    if len(meaning.classes) < 2:
        raise FolderError(f"'{listing.root}': the masks hold the values {sorted(indices)}; two classes are needed.")
    partly = f'{len(stored)} of {len(samples)} masks were read to learn their values'
    return Found(
        meaning.format,
        'segmentation',
        tuple(samples),
        meaning.classes,
        palette=palette if len(palette) == len(meaning.classes) else (),
        values=meaning.values,
        colors=meaning.colors,
        present={image: meaning.present(found) for image, found in stored.items()},
        notes=(*([partly] if len(stored) < len(samples) else []), *meaning.notes),
    )


def spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many samples, evenly spaced."""
    if len(samples) <= most:
        return list(samples)
    return [samples[i] for i in np.linspace(0, len(samples) - 1, most).astype(int)]


def as_color(value: Value) -> Color:
    return value if isinstance(value, tuple) else (value, value, value)


def stored_values(listing: Listing, name: str) -> frozenset[Value]:
    """The values that occur in a label map: indices, or (R, G, B). Raises FolderError for a file that is no mask."""
    path = str(listing.root / name)
    try:
        labels = as_colors(decode_labels(path, read_bytes(path, 'label map')))
    except ValueError as error:
        raise FolderError(str(error)) from error
    lossy = name.lower().endswith(('.jpg', '.jpeg'))
    if labels.ndim == 2:
        values = np.unique(labels).tolist()
        if lossy and len(values) > 2:
            raise FolderError(f"'{path}' has {len(values)} values; JPEG changes those of masks: store them as PNG.")
        return frozenset(values)
    codes = np.unique(labels.astype(np.int64) @ (1 << 16, 1 << 8, 1)).tolist()
    if len(codes) > MOST_COLORS:
        advice = 'JPEG changes those of masks: store them as PNG' if lossy else 'a mask has one for each class'
        raise FolderError(f"'{path}' has {len(codes)} colors, too many for a mask; {advice}.")
    return frozenset((code >> 16, code >> 8 & 255, code & 255) for code in codes)


def of_colors(listing: Listing, colors: Sequence[Color], said: Said, legend: Legend) -> Meaning:
    """The classes of colors. Raises FolderError for colors that the legend lacks; black alone does not count then."""
    kind = 'masks in colors'
    if said.palette:
        table = {color: i for i, color in enumerate(said.palette)}
        classes, where = said.names or tuple(f'class {i}' for i in range(len(table))), 'the data file'
    elif legend.colors:
        classes, where = tuple(dict.fromkeys(legend.colors.values())), legend.file
        table = {color: classes.index(name) for color, name in legend.colors.items()}
    elif len(colors) <= MOST_COLORS:
        names = tuple('#{:02x}{:02x}{:02x}'.format(*color) for color in colors)
        notes = ('the colors have no names: add class_dict.csv, lines of name,red,green,blue',)
        return Meaning(kind, names, colors={color: i for i, color in enumerate(colors)}, notes=notes)
    else:
        raise FolderError(
            f"'{listing.root}': the masks have {len(colors)} colors; list name,red,green,blue in class_dict.csv."
        )
    unknown = [color for color in colors if color not in table]
    if unknown == [(0, 0, 0)]:
        table[0, 0, 0] = IGNORED
    elif unknown:
        text = ', '.join(map(str, unknown[:8]))
        raise FolderError(f"'{listing.root}': the masks have colors that {where} does not list: {text}. Complete it.")
    return Meaning(kind, classes, colors=table)


def of_indices(found: Sequence[int], said: Said, legend: Legend) -> Meaning:
    """The classes of stored indices, ascending."""
    kind = 'masks of class indices'
    if said.names or said.values or said.ignore:
        return as_said(found, said, kind)
    if list(found) == [0, IGNORED]:
        names = legend.names.get(0, 'background'), legend.names.get(IGNORED) or legend.names.get(1, 'foreground')
        return Meaning('masks of 0 and 255', names, {IGNORED: 1})
    used = [value for value in found if value != IGNORED]
    last = max(used, default=0)
    if legend.names and last <= max(legend.names):
        return Meaning(kind, tuple(legend.names.get(i, f'class {i}') for i in range(max(legend.names) + 1)))
    if len(used) <= MOST_GRAYS and last > 4 * len(used):
        note = f'the masks have gray levels {", ".join(map(str, found))}: each is taken for a class'
        levels = {value: i for i, value in enumerate(found)}
        return Meaning('masks of gray levels', tuple(f'gray {value}' for value in found), levels, notes=(note,))
    if used and 0 not in used:
        note = 'the masks count classes from 1: 0 is taken for pixels without class'
        values = {0: IGNORED, **{value: value - 1 for value in range(1, last + 1)}}
        return Meaning(kind, tuple(f'class {value}' for value in range(1, last + 1)), values, notes=(note,))
    note = 'the classes have no names: add classes.txt, a name a line'
    return Meaning(kind, tuple(f'class {i}' for i in range(last + 1)), notes=(note,))


def as_said(found: Sequence[int], said: Said, kind: str) -> Meaning:
    """The classes that a data file gives to indices. Raises FolderError for indices without a name."""
    values = {**{value: IGNORED for value in said.ignore if value != IGNORED}, **said.values}
    labels = {value: values.get(value, value) for value in found}
    count = 1 + max((label for label in labels.values() if label != IGNORED), default=0)
    names = said.names or tuple(f'class {i}' for i in range(count))
    wrong = [value for value, label in labels.items() if label != IGNORED and label >= len(names)]
    if wrong:
        raise FolderError(
            f'the masks have values {wrong}, but {len(names)} names are given: complete names, map or ignore.'
        )
    return Meaning(kind, names, values)
