"""Panoptic maps of overlapping tiles as that of the whole image.

Legend: H W image, h w tile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from denseformer.inference.tiling import Span

SAME = 0.5
"""Things of neighboring tiles are one when their intersection over union, in what both tiles see, is so large."""


@dataclass(frozen=True, eq=False)
class PanopticTile:
    """The panoptic map of a tile.

    segments: (h, w), 0 for nothing, else indices from 1 into `labels`, the class of each segment.
    """

    rows: Span
    columns: Span
    segments: np.ndarray
    labels: Sequence[int]


def merge_panoptic(tiles: Sequence[PanopticTile], size: tuple[int, int], things: int) -> tuple[np.ndarray, list[int]]:
    """The map (H, W) of an image, with segments numbered from 1, and their classes.

    Every pixel is of the tile whose middle is nearest, so that none is decided twice. Things, the classes below
    `things`, are joined where they agree in what two tiles see; stuff of one class is one segment.
    """
    first = np.cumsum([0, *(len(tile.labels) for tile in tiles)])  # of each tile's segments among all
    labels = np.array([label for tile in tiles for label in tile.labels], int)
    joined = np.arange(len(labels))  # the least index of the segments that each is one with
    for i, tile in enumerate(tiles):
        for j, other in enumerate(tiles[:i]):
            for a, b in agreeing(tile, other):
                one, two = joined[first[i] + a], joined[first[j] + b]
                joined[np.maximum(one, two) == joined] = min(one, two)
    for label in np.unique(labels[labels >= things]):
        joined[labels == label] = np.flatnonzero(labels == label)[0]
    whole = np.zeros(size, np.int64)
    for i, tile in enumerate(tiles):
        rows, columns = (slice(span.fade_in[0], span.fade_out[1]) for span in (tile.rows, tile.columns))
        numbers = np.concatenate([[0], joined[first[i] : first[i + 1]] + 1])
        whole[rows, columns] = numbers[cut_out(tile, rows, columns)]
    present, numbered = np.unique(whole, return_inverse=True)
    if present[0] == 0:
        return numbered.reshape(size).astype(np.int32), labels[present[1:] - 1].tolist()
    return numbered.reshape(size).astype(np.int32) + 1, labels[present - 1].tolist()


def agreeing(tile: PanopticTile, other: PanopticTile) -> list[tuple[int, int]]:
    """The pairs of segments of two tiles that are of one class and agree in what both see."""
    rows, columns = (
        slice(max(one.start, two.start), min(one.stop, two.stop))
        for one, two in ((tile.rows, other.rows), (tile.columns, other.columns))
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return []
    one, two = cut_out(tile, rows, columns), cut_out(other, rows, columns)
    shape = len(tile.labels) + 1, len(other.labels) + 1
    counts = np.bincount((one * shape[1] + two).ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    both = counts[1:, 1:]
    either = counts.sum(1, keepdims=True)[1:] + counts.sum(0, keepdims=True)[:, 1:] - both
    same_class = np.array(tile.labels, int)[:, None] == np.array(other.labels, int)
    return [(int(a), int(b)) for a, b in np.argwhere(same_class & (both > 0) & (both >= SAME * either))]


def cut_out(tile: PanopticTile, rows: slice, columns: slice) -> np.ndarray:
    """A part of the image, in its coordinates, out of a tile's map."""
    top, left = tile.rows.start, tile.columns.start
    return tile.segments[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
