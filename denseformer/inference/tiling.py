"""Tiled prediction for all tasks: where tiles lie, and how they are blended without a seam.

Neighboring tiles overlap. At every inner side a tile first discards `margin` pixels, which saw too little of their
surroundings, and is then cross-faded with its neighbor over `fade` pixels: a network that looks no further than
`margin` gives the same as for the whole image. The predictions of tiles, without what they share, are handed over row
by row; kept meanwhile are one tile and a strip as wide as the image and `fade` high, so memory does not grow with the
image's height.

Legend: B tiles in a batch, C channels of the image, K channels of the prediction, h w a tile, H W the image.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from denseformer.layers.padding import reflect_image_to_multiple

Network = Callable[[Tensor], Tensor]
"""(B, C, h, w) -> (B, K, scale * h, scale * w)."""
Reader = Callable[[slice, slice], Tensor]
"""Rows and columns of an image -> (C, h, w)."""


@dataclass(frozen=True)
class Tiling:
    """The size, overlap and grid of an image's tiles.

    size: side of a tile; margin: pixels discarded at inner sides; fade: pixels over which neighbors are blended;
    multiple: tiles start at multiples of it, so that a network that pools or attends in windows sees the grid of the
    whole image; padding: where there are several tiles, each is reflected at its right and lower side up to multiples
    of it. Raises ValueError for a size that leaves too little between its sides.
    """

    size: int
    margin: int = 32
    fade: int = 16
    multiple: int = 32
    padding: int = 1

    def __post_init__(self) -> None:
        if min(self.margin, self.fade) < 0 or self.size < self.smallest:
            raise ValueError(
                f'Tiles of {self.size} pixels that discard {self.margin} and blend {self.fade} at each side are too '
                f'small: take at least {self.smallest}, or a smaller overlap.'
            )

    @property
    def overlap(self) -> int:
        return 2 * self.margin + self.fade

    @property
    def smallest(self) -> int:
        return self.overlap + max(2 * self.fade, self.multiple)

    def halved(self) -> 'Tiling | None':
        """Tiles of half the size, or None when these are the smallest already."""
        size = max(self.smallest, self.size // 2 // self.multiple * self.multiple)
        return replace(self, size=size) if size < self.size else None


@dataclass(frozen=True)
class Span:
    """A tile along one axis: it reads `start` to `stop`, and predicts what lies between the two fades' outer ends.

    fade_in, fade_out: where it is blended with the tile before and after; empty at the image's border.
    """

    start: int
    stop: int
    fade_in: tuple[int, int]
    fade_out: tuple[int, int]

    def weights(self, scale: int) -> Tensor:
        """Weights of the kept pixels: rising over `fade_in`, one, and falling over `fade_out`."""
        first, last = self.fade_in[0], self.fade_out[1]
        weights = torch.ones((last - first) * scale)
        rise, fall = ((end - begin) * scale for begin, end in (self.fade_in, self.fade_out))
        weights[:rise] = ramp(rise)
        weights[len(weights) - fall :] = 1 - ramp(fall)
        return weights


def ramp(length: int) -> Tensor:
    """Weights (length,) that rise from 0 to 1."""
    return (torch.arange(length) + 0.5) / max(length, 1)


@dataclass(frozen=True)
class Tile:
    """The prediction of a tile, blended with its neighbors: `values` (K, h, w) belong at row `top`, column `left`."""

    top: int
    left: int
    values: Tensor


def plan_spans(length: int, tiling: Tiling) -> list[Span]:
    """Tiles that cover `length` pixels, evenly spread; the last may be shorter, by less than `multiple`."""
    if length <= tiling.size:
        return [Span(0, length, (0, 0), (length, length))]
    step = (tiling.size - tiling.overlap) // tiling.multiple * tiling.multiple
    count = 1 + math.ceil((length - tiling.size) / step)
    ideal = (i * (length - tiling.size) / (count - 1) for i in range(count))
    starts = [math.ceil(start / tiling.multiple - 1e-9) * tiling.multiple for start in ideal]
    ends = [min(start + tiling.size, length) for start in starts]
    middles = [(start + end) // 2 for start, end in zip(starts[1:], ends[:-1], strict=True)]
    begins = [middle - tiling.fade // 2 for middle in middles]
    fades = [(0, 0), *((begin, begin + tiling.fade) for begin in begins), (length, length)]
    return [Span(*tile) for tile in zip(starts, ends, fades[:-1], fades[1:], strict=True)]


def predict_tiles(
    network: Network, read: Reader, size: tuple[int, int], tiling: Tiling, *, scale: int = 1, batch_size: int = 1
) -> Iterator[Tile]:
    """The prediction for an image (H, W) in tiles without overlap, row by row.

    Tiles lie at `scale` times the image's coordinates and on the device of the network's output.
    """
    H, W = size
    columns, rows = plan_spans(W, tiling), plan_spans(H, tiling)
    if len(columns) * len(rows) > 1:
        network = padded(network, tiling.padding, scale)
    above: Tensor | None = None  # (K, fade, W): the part of the row of tiles above to blend with this one
    for row in rows:
        below: Tensor | None = None
        beside: Tensor | None = None  # (K, h, fade): the part of the tile on the left to blend with this one
        rise, fall = ((end - begin) * scale for begin, end in (row.fade_in, row.fade_out))
        top = row.fade_in[0] * scale
        for column, output in zip(columns, outputs_of(network, read, row, columns, batch_size), strict=True):
            kept = weighted(output, row, column, scale)  # (K, h, w)
            left, right = column.fade_in[0] * scale, column.fade_out[0] * scale
            body = kept[:, : kept.shape[1] - fall]
            if beside is not None:
                body[..., : beside.shape[2]] += beside
            finished = body[..., : right - left]
            if above is not None and rise:
                finished[:, :rise] += above[..., left:right]
            beside = body[..., right - left :].clone()
            if fall:
                below = kept.new_zeros(len(kept), fall, W * scale) if below is None else below
                below[..., left : left + kept.shape[2]] += kept[:, kept.shape[1] - fall :]
            yield Tile(top, left, finished)
        above = below


def outputs_of(network: Network, read: Reader, row: Span, columns: list[Span], batch_size: int) -> Iterator[Tensor]:
    """The network's output for each tile of a row; tiles of equal width go through it together."""
    waiting: list[Span] = []
    for column in columns:
        if waiting and (len(waiting) == batch_size or width(column) != width(waiting[0])):
            yield from run_batch(network, read, row, waiting)
            waiting = []
        waiting.append(column)
    yield from run_batch(network, read, row, waiting)


def padded(network: Network, multiple: int, scale: int) -> Network:
    """The network, given images reflected up to multiples of `multiple`; the output is cropped again."""

    def run(images: Tensor) -> Tensor:
        h, w = images.shape[2:]
        return network(reflect_image_to_multiple(images, multiple))[..., : h * scale, : w * scale]

    return run


def width(span: Span) -> int:
    """The length of the part that a tile reads."""
    return span.stop - span.start


def run_batch(network: Network, read: Reader, row: Span, columns: list[Span]) -> Tensor:
    """The outputs (B, K, h, w) for tiles of equal width."""
    rows = slice(row.start, row.stop)
    return network(torch.stack([read(rows, slice(column.start, column.stop)) for column in columns]))


def weighted(output: Tensor, row: Span, column: Span, scale: int) -> Tensor:
    """The kept part of a tile's output (K, h, w), faded."""
    parts = []
    for span in (row, column):
        begin = (span.fade_in[0] - span.start) * scale
        parts.append(slice(begin, begin + (span.fade_out[1] - span.fade_in[0]) * scale))
    kept = output[:, parts[0], parts[1]]
    if kept.shape == output.shape:  # the only tile: it has no neighbor to fade into
        return kept.float()
    rows, columns = row.weights(scale).to(kept.device), column.weights(scale).to(kept.device)
    return (kept.float() * rows[:, None]).mul_(columns)


def reader_of(image: Tensor) -> Reader:
    """Reads regions of an image in memory, (C, H, W)."""
    return lambda rows, columns: image[:, rows, columns]


def assemble(tiles: Iterator[Tile], size: tuple[int, int]) -> Tensor:
    """Tiles as one map (K, H, W); `size` is that of the map."""
    whole = None
    for tile in tiles:
        channels, h, w = tile.values.shape
        whole = tile.values.new_empty(channels, *size) if whole is None else whole
        whole[:, tile.top : tile.top + h, tile.left : tile.left + w] = tile.values
    return whole


def as_bands(tiles: Iterator[Tile], width: int, convert: Callable[[Tensor], np.ndarray]) -> Iterator[np.ndarray]:
    """Tiles, converted to arrays, side by side: bands as wide as the image."""
    row: list[np.ndarray] = []
    for tile in tiles:
        row.append(convert(tile.values))
        if sum(part.shape[1] for part in row) == width:
            yield np.concatenate(row, 1)
            row = []
