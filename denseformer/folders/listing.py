"""The files of a folder, read once: their names, and on request a text, a json document, the size of an image."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from denseformer.detection.coco_content import size_in_header
from denseformer.images.folders import IMAGES, files_below

WORDS = re.compile(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])')
SPLIT_WORDS = {
    **dict.fromkeys(('train', 'training'), 'train'),
    **dict.fromkeys(('val', 'valid', 'validation', 'dev'), 'val'),
    **dict.fromkeys(('test', 'testing'), 'test'),
}
"""Words in names of folders and lists -> the split that they stand for."""
MASK_WORDS = frozenset(
    (
        *('mask', 'masks', 'label', 'labels', 'labelmap', 'labelmaps', 'gt', 'groundtruth', 'truth'),
        *('annotation', 'annotations', 'annot', 'ann', 'anns', 'seg', 'segmentation', 'segmentations'),
    )
)
"""Words in names of folders of label maps."""
IMAGE_WORDS = frozenset(
    (
        *('image', 'images', 'img', 'imgs', 'imgdir', 'photo', 'photos', 'picture', 'pictures'),
        *('jpeg', 'input', 'inputs', 'rgb'),
    )
)
"""Words in names of folders of images."""
RUN = '/dataset/data.py'
"""End of the path of a file that `fit` writes into the folder of a run."""
JOINED = re.compile(r'^(train|val|test)(?=annot|mask|label|img|image)')


class FolderError(ValueError):
    """A folder that is not as its format asks; the message lists what was found, file by file."""


class Listing:
    """The files below `root`, as paths with '/' between folders, in alphabetical order.

    Left out are hidden ones, macOS's `__MACOSX`, and the folders of earlier runs of `fit`.

    mask_folders: folders of label maps, as a data file names them; empty where their names say so themselves.
    """

    def __init__(self, root: str | Path, mask_folders: Sequence[str] = ()):
        self.root = Path(root)
        self.mask_folders = tuple(mask_folders)
        if not self.root.is_dir():
            raise FolderError(f"There is no folder '{root}'.")
        names = sorted(path.relative_to(self.root).as_posix() for path in files_below(self.root))
        others = ('__MACOSX/', *(name.removesuffix(RUN) + '/' for name in names if name.endswith(RUN)))
        self.names = [name for name in names if not name.startswith(others)]
        self._documents: dict[str, Any] = {}

    def ending(self, *suffixes: str) -> list[str]:
        """Files with one of these suffixes, in any case."""
        return [name for name in self.names if name.lower().endswith(suffixes)]

    @cached_property
    def images(self) -> list[str]:
        return [name for name in self.names if PurePosixPath(name).suffix.lower() in IMAGES]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """Images by their names without folders, with suffix and without."""
        found: dict[str, list[str]] = {}
        for name in self.images:
            path = PurePosixPath(name)
            for key in {path.name, path.stem}:
                found.setdefault(composed(key), []).append(name)
        return found

    def images_called(self, name: str) -> list[str]:
        """The images of this name, with suffix or without, in any folder."""
        return self._by_name.get(composed(name), [])

    def find_image(self, said: str, near: str) -> str | None:
        """The image that an annotation file calls `said`, None where there is none.

        Of several, it is the one whose folders agree with `said`, then the one of the split that `near`, the annotation
        file, is of, then the one closest to it, then the one in a folder for images.

        said: a path or address, of which the end counts, with or without suffix.
        Raises FolderError where this leaves several.
        """
        tail = PurePosixPath(said.replace('\\', '/'))
        left = self.images_called(tail.name) or self.images_called(tail.stem)
        folder, parts, split = PurePosixPath(near).parent.parts, tail.parts, split_of(near)
        for rank in (
            lambda name: ending_shared(name, parts),
            lambda name: split_of(name) == split,
            lambda name: beginning_shared(name, folder),
            image_words,
        ):
            left = best(left, rank)
        if len(left) > 1:
            raise FolderError(
                f"'{self.root}': {near} speaks of '{said}', which may be {' or '.join(left[:3])}. Write the folder "
                'before the name there, or move the others elsewhere.'
            )
        return left[0] if left else None

    def text(self, name: str) -> str:
        """Raises FolderError for a file that is no text."""
        try:
            return (self.root / name).read_text(encoding='utf-8-sig')
        except (OSError, UnicodeDecodeError) as error:
            raise FolderError(f"'{self.root / name}' cannot be read as text: {error}.") from error

    def json(self, name: str) -> Any:
        """A json document; None where it is none."""
        if name not in self._documents:
            try:
                self._documents[name] = json.loads(self.text(name))
            except (ValueError, RecursionError):
                self._documents[name] = None
        return self._documents[name]

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of an image, upright, from its header. Raises FolderError for a file without one."""
        try:
            return size_in_header(self.root / name)
        except ValueError as error:
            raise FolderError(
                f"'{self.root / name}' cannot be read as an image: fetch it again, or remove it with its labels."
            ) from error

    def summary(self) -> list[str]:
        """'images/train: 12 .png (0001.png ...)' of every folder and suffix."""
        kinds: dict[tuple[str, str], list[str]] = {}
        for name in self.names:
            path = PurePosixPath(name)
            kinds.setdefault((str(path.parent), path.suffix), []).append(path.name)
        return [
            f'{folder}: {len(names)} {suffix or "without suffix"} ({names[0]}{" ..." * (len(names) > 1)})'
            for (folder, suffix), names in kinds.items()
        ] or ['nothing']


def best(names: list[str], rank: Callable[[str], int]) -> list[str]:
    """The names of the highest rank."""
    if len(names) < 2:
        return names
    ranks = [rank(name) for name in names]
    highest = max(ranks)
    return [name for name, own in zip(names, ranks, strict=True) if own == highest]


def composed(name: str) -> str:
    """A name with accents as one character each: macOS's archives write them as two."""
    return unicodedata.normalize('NFC', name)


def image_words(name: str) -> int:
    """1 for a file below a folder for images, -1 for one below a folder for masks, 0 for others."""
    spoken = {word for part in PurePosixPath(name).parent.parts for word in words(part)}
    return bool(spoken & IMAGE_WORDS) - bool(spoken & MASK_WORDS)


def ending_shared(name: str, parts: tuple[str, ...]) -> int:
    """How many parts the ends of two paths share."""
    mine = PurePosixPath(name).parts
    both = zip(reversed(mine), reversed(parts), strict=False)
    return next((i for i, (a, b) in enumerate(both) if composed(a) != composed(b)), min(len(mine), len(parts)))


def beginning_shared(name: str, folder: tuple[str, ...]) -> int:
    """How many parts the beginnings of two paths share."""
    mine = PurePosixPath(name).parent.parts
    return next((i for i, (a, b) in enumerate(zip(mine, folder, strict=False)) if a != b), min(len(mine), len(folder)))


def words(text: str) -> list[str]:
    """The words of a name, in lower case: 'ann_dir' -> ann, dir; 'SegmentationClass' -> segmentation, class."""
    return [word.lower() for word in WORDS.findall(JOINED.sub(r'\1_', text))]


def split_of(name: str) -> str:
    """The split that the folders, or the name, of a file speak of; '' where they speak of none."""
    path = PurePosixPath(name)
    for part in (*path.parent.parts, path.stem if path.suffix in ('.json', '.xml', '.txt') else ''):
        for word in words(part):
            if word in SPLIT_WORDS:
                return SPLIT_WORDS[word]
    return ''


def listed_splits(listing: Listing) -> dict[str, str]:
    """{name of an image without folders and suffix: split} by lists such as ImageSets/Main/train.txt."""
    found: dict[str, str] = {}
    for file in listing.ending('.txt'):
        split = SPLIT_WORDS.get(PurePosixPath(file).stem.lower())
        if split:
            lines = [line.strip() for line in listing.text(file).splitlines() if line.strip()]
            names = {name for line in lines for name in (line, line.split()[0])}  # names may have blanks in them
            stems = {PurePosixPath(name.replace('\\', '/')).stem for name in names}
            found |= dict.fromkeys(sorted(stems), split)
    return found


def some(names: Iterable[str], most: int = 10) -> str:
    """Names, one a line, and how many there are besides."""
    names = list(names)
    return '\n'.join(
        f'  {name}' for name in [*names[:most], *([f'... and {len(names) - most} more'] if len(names) > most else [])]
    )


def most_common(values: Iterable[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]


def is_rows(value: Any) -> bool:
    """Whether a part of a json document is a list of objects."""
    return isinstance(value, list) and all(isinstance(row, Mapping) for row in value)
