"""Panoptic maps in COCO's format: 8-bit RGB images whose colors are segment ids, R + 256 G + 65536 B; 0 is nothing."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from denseformer.detection.coco_content import listed

LOSSY = ('JPEG', 'WEBP', 'MPO')
DEPTH_IN_PNG = 24
"""Place of the byte with the bits per channel, which Pillow reduces to 8 unsaid."""


@dataclass(frozen=True, eq=False)
class Segments:
    """numbers: (H, W) int, 0 for nothing, else from 1; labels: (n,) class of each; crowd: (n,) bool."""

    numbers: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray


def segment_ids(colors: np.ndarray) -> np.ndarray:
    """Colors (H, W, 3) uint8 R, G, B to ids, (H, W) int32."""
    return colors.astype(np.int32) @ np.array([1, 256, 65536], np.int32)


def check_map_format(path: str, data: bytes) -> None:
    """Raise ValueError for the bytes of an image whose colors cannot be ids: gray, palette, 16 bits, or lossy."""
    try:
        with Image.open(BytesIO(data)) as header:
            kind, mode = header.format, header.mode
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return  # decoding says what is wrong
    fault = f'a {kind} image' if kind in LOSSY else f'an image of mode {mode}' if mode not in ('RGB', 'RGBA') else ''
    if kind == 'PNG' and data[DEPTH_IN_PNG] != 8:
        fault = f'an image of {data[DEPTH_IN_PNG]} bits per channel'
    if fault:
        raise ValueError(
            f"The panoptic map '{path}' is {fault}; legal are lossless images of three channels of 8 bits, in which "
            'id = R + 256 G + 65536 B. Write the maps again in this format.'
        )


def read_segments(
    path: str,
    colors: np.ndarray,
    ids: Sequence[int],
    labels: Sequence[int],
    crowd: Sequence[bool] | None = None,
    *,
    listed_ids: Collection[int] | None = None,
) -> Segments:
    """The segments `ids` of a map, (H, W, 3) uint8 R, G, B, of these labels.

    listed_ids: all that the json lists for the map, where `ids` are a part of them. Raises ValueError, naming `path`,
    where the map holds others, or does not hold one of them.
    """
    map_ids = segment_ids(colors)
    found = number_segments(map_ids, ids, labels, crowd)
    counts = np.bincount(found.numbers.ravel(), minlength=len(ids) + 1)
    if not counts[1:].all() or map_ids[found.numbers == 0].any():
        check_listed(path, colors, ids if listed_ids is None else listed_ids)
    return found


def number_segments(
    ids: np.ndarray, listed: Iterable[int], labels: Sequence[int], crowd: Sequence[bool] | None = None
) -> Segments:
    """Number the segments of a map of ids, (H, W): those listed become 1, 2 ..., all others 0, nothing."""
    place = {number: i for i, number in enumerate(listed, 1)}
    values, index = np.unique(ids, return_inverse=True)
    numbers = np.array([place.get(value, 0) for value in values.tolist()])[index].reshape(ids.shape)
    crowds = np.zeros(len(place), bool) if crowd is None else np.array(crowd, bool)
    return Segments(numbers, np.array(labels, np.int64), crowds)


def check_listed(path: str, colors: np.ndarray, listed_ids: Collection[int]) -> None:
    """Raise ValueError where the ids in a map are not those that the json lists for it.

    colors: (H, W, 3) uint8 R, G, B.
    """
    found = set(np.unique(segment_ids(colors)).tolist()) - {0}
    unlisted, absent = sorted(found - {*listed_ids}), sorted({*listed_ids} - found)
    if not unlisted and not absent:
        return
    faults = [f'has segments that its json does not list ({listed(unlisted)})'] if unlisted else []
    faults += [f'has no pixel of segments that its json lists ({listed(absent)})'] if absent else []
    swapped = set(np.unique(segment_ids(colors[..., ::-1])).tolist()) - {0}
    advice = 'R and B are swapped: write R, G, B.' if swapped == {*listed_ids} else 'Pair the right files.'
    raise ValueError(f"The panoptic map '{path}' {' and '.join(faults)}. {advice}")
