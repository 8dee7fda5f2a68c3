"""Classes that the values of masks stand for: by the data file, by a legend beside them, or the values themselves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from denseformer.datasets.segmentation.label_maps import as_colors, decode_labels, palette_of
from denseformer.folders.found import IGNORED, Color, Found, Sample
from denseformer.folders.legends import Legend, read_legend
from denseformer.folders.listing import FolderError, Listing, some
from denseformer.images.reading import read_bytes

VOID = frozenset(('void', 'ignore', 'ignored', 'unlabeled', 'unlabelled', "don't care", 'dont_care', 'dontcare'))
"""Names in legends of what does not count."""
BACKGROUND = frozenset(('background', 'bg', '_background_'))
BLACK = (0, 0, 0)
VOID_16 = 65535
"""The value that stands for 255 in masks of 16 bits."""
READ = 2000
"""The most masks that are read to learn their values."""
MOST_COLORS = 64
"""Colors, and values without names, above which masks are none: they have soft edges, or are photographs."""
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
class Stored:
    """values: that occur in a mask; palette: the colors of all indices, if its file has one; size: width, height."""

    values: frozenset[Value]
    palette: Sequence[Color]
    size: tuple[int, int]

    @property
    def shown(self) -> dict[int, Color]:
        """The colors of the indices that occur."""
        return {v: self.palette[v] for v in self.values if isinstance(v, int) and v < len(self.palette)}

    @property
    def colors(self) -> frozenset[Color]:
        return frozenset(self.shown.get(v, (v, v, v)) if isinstance(v, int) else v for v in self.values)


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


def with_meaning(found: Found, listing: Listing, said: Said) -> Found:
    """`found` with the classes of its label maps, whose values are learned from up to `READ` of them.

    Raises FolderError for files that are no masks or of another size than their image, and for values that a legend or
    the data file does not list.
    """
    legend = read_legend(listing)
    by_image = read_masks(listing, spread(found.samples, READ))
    masks = [*by_image.values()]
    if are_in_colors(masks, said, legend):
        colors = sorted({color for mask in masks for color in mask.colors})
        meaning = of_colors(listing, colors, said, legend, void_colors(masks))
        shown = {label: color for color, label in reversed([*meaning.colors.items()])}
        palette = tuple(shown.get(i, (0, 0, 0)) for i in range(len(meaning.classes)))
    else:
        said, legend = by_palette(masks, said, legend)
        indices = sorted({value for mask in masks for value in mask.values if isinstance(value, int)})
        meaning = of_indices(listing, indices, said, legend)
        palette = said.palette
    if len(meaning.classes) < 2:
        raise FolderError(
            f"'{listing.root}': the masks show {', '.join(meaning.classes) or 'nothing'} alone. Two classes are "
            'needed, of which one may be the background; transparency is not read.'
        )
    partly = f'{len(masks)} of {len(found.samples)} masks were read to learn their values'
    differ = 'palettes differ from mask to mask: classes are told by their colors, not by indices'
    notes = [
        *([partly] if len(masks) < len(found.samples) else []),
        *([differ] if meaning.colors and all(mask.palette for mask in masks) else []),
    ]
    return replace(
        found,
        format=meaning.format,
        classes=meaning.classes,
        palette=palette if len(palette) == len(meaning.classes) else (),
        values=meaning.values,
        colors=meaning.colors,
        present={i: meaning.present(m.colors if meaning.colors else m.values) for i, m in by_image.items()},
        notes=(*found.notes, *notes, *meaning.notes),
    )


def spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many samples, evenly spaced."""
    if len(samples) <= most:
        return list(samples)
    return [samples[i] for i in np.linspace(0, len(samples) - 1, most).astype(int)]


def read_masks(listing: Listing, samples: Sequence[Sample]) -> dict[str, Stored]:
    """{image: what its mask holds}. Raises FolderError, which lists them, for masks that cannot be used."""
    found, faults = {}, []
    for sample in samples:
        try:
            mask = stored_values(listing, sample.labels[0])
            size = listing.size(sample.image)
        except FolderError as error:
            faults.append(str(error))
            continue
        if mask.size != size:
            turned = ', turned by its EXIF tag: store both upright' if mask.size == size[::-1] else ''
            faults.append(
                f'{sample.labels[0]}: is {mask.size[0]} x {mask.size[1]}, {sample.image} {size[0]} x {size[1]}{turned}'
            )
        found[sample.image] = mask
    if faults:
        raise FolderError(f"'{listing.root}' holds images and masks, but:\n{some(faults)}\nCorrect or remove them.")
    return found


def are_in_colors(masks: Iterable[Stored], said: Said, legend: Legend) -> bool:
    """Whether masks are told by their colors: those without indices, and those whose palettes differ."""
    by_index: dict[int, Color] = {}
    for mask in masks:
        if any(isinstance(value, tuple) for value in mask.values):
            return True
        used = [(index, color) for index, color in mask.shown.items() if index != IGNORED]
        if any(by_index.setdefault(index, color) != color for index, color in used):
            of_indices_said = bool((said.names and not said.palette) or said.values or said.ignore or legend.names)
            return not of_indices_said
    return False


def void_colors(masks: Iterable[Stored]) -> frozenset[Color]:
    """Colors that the index 255 has, and no other one."""
    shown = {row for mask in masks for row in mask.shown.items()}
    return frozenset(color for index, color in shown if index == IGNORED) - {c for i, c in shown if i != IGNORED}


def by_palette(masks: Sequence[Stored], said: Said, legend: Legend) -> tuple[Said, Legend]:
    """(said, legend) with what a table of colors says of indices, where all masks have a palette of its colors.

    Black that is not in the table does not count.
    """
    table = said.palette or tuple(legend.colors)
    used = sorted({row for mask in masks for row in mask.shown.items() if row[0] != IGNORED})
    if not table or not {color for _, color in used} <= {*table, BLACK} or not all(mask.palette for mask in masks):
        return said, legend
    void = frozenset(index for index, color in used if color not in table)
    colors = {index: color for mask in masks for index, color in enumerate(mask.palette) if index != IGNORED}
    known = {index: color for index, color in sorted({**colors, **dict(used)}.items()) if color in table}
    if said.palette:
        values = {**dict.fromkeys(void, IGNORED), **{index: table.index(color) for index, color in known.items()}}
        return replace(said, values={**values, **said.values}), legend
    names = {index: legend.colors[color] for index, color in known.items()}
    return said, legend if legend.names else replace(legend, names=names, numbered=True, ignored=void)


def as_color(value: Value) -> Color:
    return value if isinstance(value, tuple) else (value, value, value)


def stored_values(listing: Listing, name: str) -> Stored:
    """The values that occur in a label map: indices, or (R, G, B). Raises FolderError for a file that is no mask."""
    path = str(listing.root / name)
    try:
        data = read_bytes(path, 'label map')
        labels = as_colors(decode_labels(path, data))
    except ValueError as error:
        raise FolderError(str(error)) from error
    size = labels.shape[1], labels.shape[0]
    lossy = name.lower().endswith(('.jpg', '.jpeg'))
    if labels.ndim == 2:
        values = np.unique(labels).tolist()
        if lossy and len(values) > 2:
            raise FolderError(f"'{path}' has {len(values)} values; JPEG changes those of masks: store them as PNG.")
        return Stored(frozenset(values), palette_of(data), size)
    codes = np.unique(labels.astype(np.int64) @ (1 << 16, 1 << 8, 1)).tolist()
    if len(codes) > MOST_COLORS:
        advice = 'JPEG changes those of masks: store them as PNG' if lossy else 'a mask has one for each class'
        raise FolderError(f"'{path}' has {len(codes)} colors, too many for a mask; {advice}.")
    return Stored(frozenset((code >> 16, code >> 8 & 255, code & 255) for code in codes), (), size)


def of_colors(
    listing: Listing, colors: Sequence[Color], said: Said, legend: Legend, void: frozenset[Color] = frozenset()
) -> Meaning:
    """The classes of colors. Raises FolderError for colors that the legend lacks; black alone does not count then.

    void: colors of the index 255, which do not count unless the legend lists them.
    """
    kind = 'masks in colors'
    notes: tuple[str, ...] = ()
    if said.values or said.ignore:
        raise FolderError(
            'map and ignore are for stored indices, and these masks are in colors: write palette and drop.'
        )
    if said.palette:
        table = {color: i for i, color in enumerate(said.palette)}
        classes, where = said.names or tuple(f'class {i}' for i in range(len(table))), 'the data file'
        if len(classes) != len(said.palette):
            raise FolderError(
                f'palette has {len(said.palette)} colors and names {len(classes)}: write one for each name.'
            )
    elif legend.colors:
        listed, where = {*legend.colors.values()}, legend.file
        classes = tuple(dict.fromkeys(name for name in (*said.names, *legend.colors.values()) if name in listed))
        table = {color: classes.index(name) for color, name in legend.colors.items()}
        classes, table, notes = without_void(classes, table, legend.file, said.names)
    elif said.names:
        raise FolderError(
            f"'{listing.root}': the masks are in colors, and names alone does not say which is whose: write palette, "
            f'colors in the order of names. The colors are {", ".join(map(str, colors[:12]))}.'
        )
    elif len(colors) <= MOST_COLORS:
        counted = [color for color in colors if color not in void]
        names = tuple('#{:02x}{:02x}{:02x}'.format(*color) for color in counted)
        notes = ('the colors have no names: add class_dict.csv, lines of name,red,green,blue',)
        table = {**{color: i for i, color in enumerate(counted)}, **dict.fromkeys(void, IGNORED)}
        return Meaning(kind, names, colors=table, notes=notes)
    else:
        raise FolderError(
            f"'{listing.root}': the masks have {len(colors)} colors; list name,red,green,blue in class_dict.csv."
        )
    unknown = [color for color in colors if color not in table]
    if {*unknown} <= {BLACK, *void}:
        table |= dict.fromkeys(unknown, IGNORED)
    else:
        text = ', '.join(map(str, unknown[:8]))
        raise FolderError(f"'{listing.root}': the masks have colors that {where} does not list: {text}. Complete it.")
    return Meaning(kind, classes, colors=table, notes=notes)


def without_void(
    classes: tuple[str, ...], table: Mapping[Any, int], file: str, wanted: Sequence[str] = ()
) -> tuple[tuple[str, ...], dict[Any, int], tuple[str, ...]]:
    """(classes, table, notes) where classes of names such as 'void' do not count.

    They do where they are `wanted`, and where they are what a single class is told from.
    """
    void = [name for name in classes if name.lower() in VOID and name not in wanted]
    kept = tuple(name for name in classes if name not in void)
    if len(kept) < 2:
        return classes, dict(table), ()
    label = [IGNORED if name in void else kept.index(name) for name in classes]
    notes = (f'{file} lists {", ".join(void)}: pixels of it do not count',) if void else ()
    return kept, {value: label[old] for value, old in table.items()}, notes


def of_indices(listing: Listing, found: Sequence[int], said: Said, legend: Legend) -> Meaning:
    """The classes of stored indices, ascending. Raises FolderError for those that no name fits."""
    kind = 'masks of class indices'
    if VOID_16 in found and len(found) > 2 and VOID_16 not in {*said.values, *said.ignore, *legend.names}:
        meaning = of_indices(listing, [value for value in found if value != VOID_16], said, legend)
        note = f'pixels of {VOID_16} do not count'
        return replace(meaning, values={**meaning.values, VOID_16: IGNORED}, notes=(*meaning.notes, note))
    if said.names or said.values or said.ignore:
        return as_said(found, said, kind)
    if list(found) == [0, IGNORED]:
        return Meaning('masks of 0 and 255', names_of_two(legend), {IGNORED: 1})
    used = [value for value in found if value != IGNORED]
    last = max(used, default=0)
    if legend.names:
        return of_legend(listing, found, legend)
    if len(used) > MOST_COLORS:
        raise FolderError(
            f"'{listing.root}': the masks have {len(used)} values without names. If these are classes, list them in "
            'classes.txt, a name a line; if edges are soft or the files photographs, store one value for each class.'
        )
    if len(used) <= MOST_GRAYS and last > 4 * len(used):
        note = f'the masks have gray levels {", ".join(map(str, found))}: each is taken for a class'
        levels = {value: i for i, value in enumerate(found)}
        return Meaning('masks of gray levels', tuple(f'gray {value}' for value in found), levels, notes=(note,))
    if used and 0 not in used:
        note = 'the masks count classes from 1: 0 is taken for pixels without class'
        values = {0: IGNORED, **{value: value - 1 for value in range(1, last + 1)}}
        return Meaning(kind, tuple(f'class {value}' for value in range(1, last + 1)), values, notes=(note,))
    if last == 1:
        return Meaning(kind, names_of_two(legend))
    note = 'the classes have no names: add classes.txt, a name a line'
    return Meaning(kind, tuple(f'class {i}' for i in range(last + 1)), notes=(note,))


def names_of_two(legend: Legend) -> tuple[str, str]:
    """The classes of 0 and of another value: as a legend says, which may list the second alone."""
    if len(legend.names) == 1 and not legend.numbered:
        return 'background', legend.names[0]
    return legend.names.get(0, 'background'), legend.names.get(IGNORED) or legend.names.get(1, 'foreground')


def of_legend(listing: Listing, found: Sequence[int], legend: Legend) -> Meaning:
    """The classes of stored indices by a legend. Raises FolderError for values that it does not list."""
    kind = 'masks of class indices'
    used = [value for value in found if value != IGNORED]
    names, ignored, notes = named_values(used, legend)
    void = dict.fromkeys(ignored, IGNORED)
    unknown = [value for value in used if value not in {**names, **void}]
    if unknown:
        raise FolderError(
            f"'{listing.root}': the masks have values {unknown[:10]} that {legend.file} does not list; it lists "
            f'{len(names)}. Complete it, or rename it if it lists no classes.'
        )
    classes = tuple(dict.fromkeys(names.values()))
    classes, table, more = without_void(
        classes, {value: classes.index(name) for value, name in names.items()}, legend.file
    )
    table = {**void, **table}
    changed = any(value != label for value, label in table.items())
    return Meaning(kind, classes, table if changed else {}, notes=(*notes, *more))


def named_values(used: Sequence[int], legend: Legend) -> tuple[dict[int, str], frozenset[int], tuple[str, ...]]:
    """(names of stored values, values that do not count, notes) by a legend that names values, or lists names.

    Either may leave out the background, which is 0 then, unless it lists one; a list may count from 1.
    """
    names, file = legend.names, legend.file
    lists_background = any(name.lower() in BACKGROUND for name in names.values())
    if legend.numbered:
        if 0 not in used or lists_background or 0 in (*names, *legend.ignored):
            return names, legend.ignored, ()
        return {0: 'background', **names}, legend.ignored, (f'{file} does not list 0: it is the background',)
    if max(used, default=0) != len(names):
        return names, frozenset(), ()
    from_1 = {value + 1: name for value, name in names.items()}
    if 0 not in used:
        note = f'the masks count the classes of {file} from 1: 0 is taken for pixels without class'
        return from_1, frozenset({0}), (note,)
    if lists_background or names[0].lower() in VOID:
        return names, frozenset(), ()
    note = f'{file} lists {len(names)} names for 0 to {len(names)}: 0 is the background'
    return {0: 'background', **from_1}, frozenset(), (note,)


def as_said(found: Sequence[int], said: Said, kind: str) -> Meaning:
    """The classes that a data file gives to indices. Raises FolderError for indices without a name."""
    if list(found) == [0, IGNORED] and len(said.names) == 2 and not {IGNORED} & {*said.values, *said.ignore}:
        note = f'the masks hold 0 and 255: 255 is taken for {said.names[1]}'
        return Meaning(kind, said.names, {IGNORED: 1, **said.values}, notes=(note,))
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
