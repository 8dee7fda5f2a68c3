"""The data file `data.yaml`: a folder, its splits and its classes, and what is to be made of them.

    path: photos            # the folder, beside this file or absolute; left out, that of this file
    task: segmentation      # left out, what is recognised; see `found.TASKS`
    train: images/train     # folders, or lists of images; left out, what the folder's names say
    val: images/val
    test: images/test
    masks: Masken           # folders of masks, where their names do not say so
    names: [road, car]      # of the stored values or indices, or {0: road, 1: car}
    palette: [[128, 64, 128], [0, 0, 142]]  # the colors of masks in colors, as names are ordered
    map: {255: 1}           # stored value -> index in names
    ignore: [9]             # stored values, or names, that do not count
    merge: {vehicle: [car, truck]}          # one class of several
    drop: [pole]            # classes that are left out; their pixels do not count

YOLO's and Roboflow's `data.yaml` is one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from denseformer.folders.found import TASKS, Color
from denseformer.folders.listing import FolderError
from denseformer.suggestions import did_you_mean

FILE_NAMES = ('data.yaml', 'data.yml', 'dataset.yaml')
IGNORED_KEYS = frozenset(('nc', 'roboflow', 'download', 'channels', 'names_file', 'license', 'url'))
"""Keys that other programs write and nothing here needs."""


@dataclass(frozen=True)
class DataFile:
    """The content of a data file; see this module. `path` is absolute."""

    path: Path
    task: str = 'auto'
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    palette: tuple[Color, ...] = ()
    map: Mapping[int, int] = field(default_factory=dict)
    ignore: tuple[int | str, ...] = ()
    merge: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()


def data_file_of(place: str | Path) -> DataFile:
    """The data file at `place`, the one in the folder `place`, or one that says no more than the folder.

    A folder that holds nothing but another one, as unpacked archives do, stands for that one.
    """
    place = inner_folder(Path(place))
    if place.is_dir():
        file = next((place / name for name in FILE_NAMES if (place / name).is_file()), None)
        return read_data_file(file) if file else DataFile(place.resolve())
    if place.suffix.lower() not in ('.yaml', '.yml'):
        raise FolderError(f"'{place}' is neither a folder nor a .yaml file that describes one.")
    return read_data_file(place)


def inner_folder(place: Path) -> Path:
    """The folder inside one that holds nothing else."""
    while place.is_dir():
        inside = [path for path in place.iterdir() if not path.name.startswith(('.', '__MACOSX'))]
        if len(inside) != 1 or not inside[0].is_dir():
            break
        place = inside[0]
    return place


def read_data_file(file: str | Path) -> DataFile:
    """Read a data file. Raises FolderError, which names the key, for what it does not understand."""
    file = Path(file)
    try:
        content = yaml.safe_load(file.read_text(encoding='utf-8')) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FolderError(f"'{file}' cannot be read as yaml: {error}") from error
    if not isinstance(content, Mapping):
        raise FolderError(f"'{file}' holds no keys; see docs/own_data.md.")
    if 'kpt_shape' in content:
        raise FolderError(f"'{file}' describes keypoints, which are not learned here. Export boxes or polygons.")
    known = {each.name for each in fields(DataFile)}
    for key in content.keys() - known - IGNORED_KEYS:
        raise FolderError(f"'{file}': nothing reads the key '{key}'.{did_you_mean(str(key), known)}")
    values = {key: read_value(file, key, value) for key, value in content.items() if key in READERS}
    values = {key: value for key, value in values.items() if value is not None}
    count, names = content.get('nc'), values.get('names')
    if names and count is not None and str(count) != str(len(names)):
        raise FolderError(f"'{file}': nc is {count}, but names lists {len(names)} classes. Correct one of them.")
    if values.get('task', 'auto') not in ('auto', *TASKS):
        raise FolderError(f"'{file}': task is one of {', '.join(TASKS)}, not '{values['task']}'.")
    root = folder_of(file, str(content.get('path') or '.'))
    return DataFile(root, **values)


def read_value(file: Path, key: str, value: Any) -> Any:
    try:
        return None if value is None else READERS[key](value)
    except (TypeError, ValueError, AttributeError) as error:
        raise FolderError(f"'{file}': {key}: {error}.") from error


def folder_of(file: Path, said: str) -> Path:
    """The folder that `path` names: from the file's own, or else the working directory, or the file's own itself.

    Files of other programs often name a folder of the machine that they were written on.
    """
    for folder in (file.parent / said, Path(said)):
        if folder.is_dir():
            return folder.resolve()
    if content_beside(file):
        return file.parent.resolve()
    raise FolderError(f"'{file}': path names the folder '{said}', which is not there.")


def content_beside(file: Path) -> bool:
    return any((file.parent / name).is_dir() for name in ('images', 'train', 'labels'))


def names_in(value: Any) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        numbers = sorted(int(key) for key in value)
        if numbers != list(range(len(numbers))):
            raise ValueError(f'the indices are {numbers}, not 0, 1, 2 ...; write map: {{stored: index}} besides')
        return tuple(str(value[key]) for key in sorted(value, key=int))
    return texts(value)


def texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(each) for each in value)


def colors(value: Any) -> tuple[Color, ...]:
    rows = [tuple(int(part) for part in row) for row in value]
    wrong = [row for row in rows if len(row) != 3 or not all(0 <= part <= 255 for part in row)]
    if wrong:
        raise ValueError(f'{wrong[0]} is no color of three numbers from 0 to 255')
    return tuple((r[0], r[1], r[2]) for r in rows)


def ignored(value: Any) -> tuple[int | str, ...]:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


READERS: Mapping[str, Callable[[Any], Any]] = {
    'task': str,
    'train': texts,
    'val': texts,
    'test': texts,
    'masks': texts,
    'names': names_in,
    'palette': colors,
    'map': lambda value: {int(stored): int(index) for stored, index in value.items()},
    'ignore': ignored,
    'merge': lambda value: {str(name): texts(parts) for name, parts in value.items()},
    'drop': texts,
}
"""Key -> what reads its value."""
