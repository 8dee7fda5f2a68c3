"""The contents of a recognised folder, in one form for all formats."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from denseformer.folders.listing import FolderError, some

TASKS = ('segmentation', 'detection', 'instances', 'panoptic', 'restoration', 'super-resolution', 'video')
"""Classes of pixels; boxes; boxes with masks; things and stuff; pairs of images; images to be made smaller; the
object that moves in a video."""
IGNORED = 255
"""The label of pixels that do not count."""
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Thing:
    """One object. box: left, top, width, height in pixels; outline: COCO's polygons or run lengths, None for a box."""

    name: str
    box: tuple[float, float, float, float]
    outline: Any = None
    ignored: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class Sample:
    """One image and its labels; paths are below the root.

    split: 'train', 'val', 'test', or '' where the folder does not say.
    labels: a label map or a panoptic map; the degraded images' path; or, of one file per class, several.
    label_classes: the class of each of several labels.
    size: width and height where the annotations, or the format, know it.
    """

    image: str
    split: str = ''
    labels: tuple[str, ...] = ()
    label_classes: tuple[int, ...] = ()
    things: tuple[Thing, ...] = ()
    segments: tuple[Mapping[str, Any], ...] = ()
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Found:
    """A dataset that was recognised.

    format: its name, for people; task: one of `TASKS`.
    values: stored value -> class of label maps, 255 where it does not count; empty where they hold the classes.
    colors: color -> class of label maps in colors.
    present: image -> names of its classes, as far as was looked.
    scale: how many times larger targets are, in restoration.
    notes: sentences about what is suspicious.
    incomplete: image -> what it lacks, of those that are no samples and should be, unless a data file leaves them out.
    """

    format: str
    task: str
    samples: tuple[Sample, ...]
    classes: tuple[str, ...] = ()
    stuff: tuple[str, ...] = ()
    palette: tuple[Color, ...] = ()
    values: Mapping[int, int] = field(default_factory=dict)
    colors: Mapping[Color, int] = field(default_factory=dict)
    present: Mapping[str, frozenset[str]] = field(default_factory=dict)
    scale: int = 1
    notes: tuple[str, ...] = ()
    incomplete: Mapping[str, str] = field(default_factory=dict)

    def of(self, split: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.split == split]

    def classes_of(self, sample: Sample) -> frozenset[str]:
        """The classes that an image is known to show."""
        return self.present.get(sample.image) or frozenset(thing.name for thing in sample.things)


def found_things(
    format: str,
    listing: Any,
    samples: Sequence[Sample],
    classes: Sequence[str],
    faults: Sequence[str],
    notes: Sequence[str] = (),
) -> Found:
    """Boxes, or boxes with masks where every object has an outline.

    classes: their names in order; empty for those of the objects, in alphabetical order. faults: what is wrong with
    files. Raises FolderError where there are faults, no object, images that are labelled twice, and objects without a
    class or of other classes.
    """
    if faults:
        raise FolderError(
            f"'{listing.root}' is labelled as {format}, but:\n{some(faults)}\nCorrect or remove what is listed."
        )
    things = [thing for sample in samples for thing in sample.things]
    check_labels(f"'{listing.root}' ({format})", samples, things, classes, notes)
    outlined = [thing for thing in things if thing.outline]
    notes = list(notes)
    if outlined and len(outlined) < len(things):
        notes.append(
            f'{len(things) - len(outlined)} of {len(things)} objects have a box and no outline: boxes are learned'
        )
        samples = [without_outlines(sample) for sample in samples]
    left_out = len({*listing.images} - {sample.image for sample in samples})
    if left_out:
        notes.append(f'{left_out} images are in no annotation, or on no list, and are left out')
    flat = sum(min(thing.box[2:]) <= 0 for thing in things)
    if flat:
        notes.append(f'{flat} of {len(things)} boxes have no area and are left out')
    empty = sum(not sample.things for sample in samples)
    if empty:
        notes.append(f'{empty} of {len(samples)} images show no object')
    task = 'instances' if len(outlined) == len(things) else 'detection'
    names = tuple(classes) or tuple(sorted({thing.name for thing in things}))
    return Found(format, task, tuple(samples), names, notes=tuple(notes))


def check_labels(
    where: str, samples: Sequence[Sample], things: Sequence[Thing], classes: Sequence[str], notes: Sequence[str]
) -> None:
    """Raise FolderError for what `found_things` refuses. notes: what was left out."""
    if not things:
        why = f' ({"; ".join(notes)})' if notes else ''
        raise FolderError(f'{where} holds no box and no polygon{why}. Label some images first.')
    twice = [image for image, count in Counter(sample.image for sample in samples).items() if count > 1]
    if twice:
        raise FolderError(
            f'{where}: these images are labelled in several files or rows:\n{some(twice)}\n'
            'Keep one of them; a file of all images beside those of the splits is one too many.'
        )
    if any(not thing.name for thing in things):
        raise FolderError(f'{where} has {sum(not thing.name for thing in things)} objects without a class. Name it.')
    unknown = sorted({thing.name for thing in things} - set(classes)) if classes else []
    if unknown:
        raise FolderError(
            f'{where} has objects called {", ".join(unknown)}, which names does not list: {", ".join(classes)}.'
        )


def without_outlines(sample: Sample) -> Sample:
    return replace(sample, things=tuple(replace(thing, outline=None) for thing in sample.things))


def polygon_thing(name: str, points: Sequence[tuple[float, float]]) -> Thing:
    """An object of its outline's points, with the box around them."""
    across, down = [x for x, _ in points], [y for _, y in points]
    box = min(across), min(down), max(across) - min(across), max(down) - min(down)
    return Thing(name, box, [[value for point in points for value in point]])
