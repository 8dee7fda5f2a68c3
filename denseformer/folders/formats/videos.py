"""Videos with a mask of what moves in each frame, in the layout of DAVIS."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from denseformer.datasets.segmentation.video_objects import video_of
from denseformer.folders.found import Found, Sample
from denseformer.folders.listing import SPLIT_WORDS, FolderError, Listing, some, split_of

EXPECTED = 'DAVIS: JPEGImages/<size>/<video>/ and Annotations/<size>/<video>/ with a .png for each frame'
FRAMES, MASKS, PREFERRED = 'JPEGImages', 'Annotations', '480p'
OBJECT = 'object'


def recognize(listing: Listing, names: tuple[str, ...] = ()) -> Found | None:
    """Frames in folders of videos, of one size where there are several; of test videos those that have masks."""
    frames = [name for name in listing.images if FRAMES in PurePosixPath(name).parts[:-2]]
    known = set(listing.names)
    if not any(mask_of(name) in known for name in frames):
        return None
    root = preferred({frames_folder(name) for name in frames})
    chosen = [name for name in frames if frames_folder(name) == root]
    splits = listed(listing)
    samples, faults = [], []
    for name in chosen:
        split = splits.get(video_name(name), split_of(name))
        if mask_of(name) in known:
            samples.append(Sample(name, split, (mask_of(name),)))
        elif split != 'test':
            faults.append(f'{name}: there is no {mask_of(name)}')
    if faults:
        raise FolderError(f"'{listing.root}' is laid out as DAVIS, but:\n{some(faults)}")
    others = len(frames) - len(chosen)
    notes = (f'{others} frames of other sizes than {root} are left out',) if others else ()
    present = {sample.image: frozenset((OBJECT,)) for sample in samples}
    return Found('DAVIS', 'video', tuple(samples), (OBJECT,), present=present, notes=notes)


def frames_folder(frame: str) -> str:
    """The folder of the videos' folders."""
    return PurePosixPath(frame).parents[1].as_posix()


def video_name(frame: str) -> str:
    return PurePosixPath(frame).parent.name


def mask_of(frame: str) -> str:
    return PurePosixPath(frame.replace(FRAMES, MASKS, 1)).with_suffix('.png').as_posix()


def preferred(folders: set[str]) -> str:
    """The folder of the size that DAVIS is scored at, else the first."""
    return min(folders, key=lambda folder: (PurePosixPath(folder).name != PREFERRED, folder))


def listed(listing: Listing) -> dict[str, str]:
    """{video: split} by lists such as ImageSets/480p/train.txt, of videos or of their frames."""
    return {
        video_of(line): split
        for file in listing.ending('.txt')
        if (split := SPLIT_WORDS.get(PurePosixPath(file).stem.lower()))
        for line in listing.text(file).splitlines()
        if line.strip()
    }


def flow_folder(listing: Listing, frames: str) -> str | None:
    """The folder of flow that lies as that of `frames` does, under a name such as Flow; None where there is none."""
    before, _, behind = frames.partition(FRAMES)
    wanted = re.compile(f'{re.escape(before)}[^/]*flow[^/]*{re.escape(behind)}', re.IGNORECASE)
    folders: Sequence[str] = sorted({frames_folder(name) for name in listing.names if name.count('/') > 1})
    return next((folder for folder in folders if wanted.fullmatch(folder)), None)
