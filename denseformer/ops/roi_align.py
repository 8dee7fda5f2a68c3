"""RoIAlign, https://arxiv.org/abs/1703.06870: a box of a feature map, sampled to a fixed size.

Each output bin is the mean, or the maximum, of bilinear samples on a grid inside the bin. Sample positions form a grid,
so interpolation is separable: with the window of the map that a box covers as a matrix, the samples are Y window X',
and the mean over a bin folds into Y and X. Boxes with windows of similar size go through together, as batched matrix
products.

Legend: R boxes, B images, C channels, H W map, h w window, n samples of a bin along one axis.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

LOWEST = -10000.0  # the maximum over no samples, as mmcv defines it
BUDGET = 2**23  # numbers in the windows that go through together


@dataclass(frozen=True)
class Axis:
    """Where the boxes' samples lie along one axis.

    positions: (R, bins, n) in cells of the map; counts: (R,) samples per bin that belong to the box, the others are
    padding; low: (R,) first cell of the window; extent: (R,) cells of the window; size: cells of the map.
    """

    positions: Tensor
    counts: Tensor
    low: Tensor
    extent: Tensor
    size: int

    def select(self, boxes: Tensor) -> 'Axis':
        """The axis of these boxes only, with no more padding than they need."""
        counts = self.counts[boxes]
        most = max(int(counts.max()), 1)
        return Axis(self.positions[boxes, :, :most], counts, self.low[boxes], self.extent[boxes], self.size)

    def used(self) -> Tensor:
        """Which samples belong to their box, (R, 1, n) bool."""
        numbers = torch.arange(self.positions.shape[2], device=self.counts.device)
        return (numbers < self.counts[:, None])[:, None]

    def weights(self, extent: int, dtype: torch.dtype) -> Tensor:
        """Bilinear weights of the window's cells in each sample: (R, bins, n, extent)."""
        first, second, fraction, inside = taps(self.positions, self.size)
        inside = (inside & self.used()).float()
        low = self.low[:, None, None]
        weights = self.positions.new_zeros((*self.positions.shape, extent))
        weights.scatter_add_(3, (first - low)[..., None].clamp(0, extent - 1), (inside * (1 - fraction))[..., None])
        weights.scatter_add_(3, (second - low)[..., None].clamp(0, extent - 1), (inside * fraction)[..., None])
        return weights.to(dtype)


def roi_align(
    feature: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    pool_mode: str = 'avg',
    aligned: bool = True,
) -> Tensor:
    """feature: (B, C, H, W); rois: (R, 5), index of the image and x1 y1 x2 y2 -> (R, C, *output_size).

    Args:
        spatial_scale: cells of the map per unit of the boxes.
        sampling_ratio: samples per bin along each axis; 0 for one per cell that the bin covers.
        pool_mode: 'avg' or 'max'.
        aligned: whether a cell's value stands at its centre, as it should; False for the first papers' half-cell shift.

    Raises ValueError for a box that ends before it begins.
    """
    return pool(feature, rois, output_size, spatial_scale, sampling_ratio, pool_mode, aligned)[0]


def pool(
    feature: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: str,
    aligned: bool,
) -> tuple[Tensor, ...]:
    """The pooled boxes, (R, C, bins, bins); for the maximum besides the y and x of the samples it was found at."""
    if pool_mode not in ('avg', 'max'):
        raise ValueError(f"RoIAlign has no pool_mode '{pool_mode}'; there are 'avg' and 'max'.")
    (B, C, H, W), R = feature.shape, len(rois)
    cells = feature.permute(0, 2, 3, 1).reshape(B * H * W, C)
    x = sample_axis(rois[:, 1], rois[:, 3], output_size[1], W, spatial_scale, sampling_ratio, aligned)
    y = sample_axis(rois[:, 2], rois[:, 4], output_size[0], H, spatial_scale, sampling_ratio, aligned)
    image = rois[:, 0].long() * (H * W)
    outs, places = [], []
    for boxes in similar_windows(y.extent, x.extent, C):
        ys, xs = y.select(boxes), x.select(boxes)
        h, w = int(ys.extent.max()), int(xs.extent.max())
        rows = (ys.low[:, None] + torch.arange(h, device=rois.device)).clamp(max=H - 1)  # (R, h)
        columns = (xs.low[:, None] + torch.arange(w, device=rois.device)).clamp(max=W - 1)  # (R, w)
        index = image[boxes, None, None] + rows[:, :, None] * W + columns[:, None]  # (R, h, w)
        windows = cells.index_select(0, index.reshape(-1)).view(*index.shape, C)
        outs.append((average if pool_mode == 'avg' else maximum)(windows, ys, xs))
        places.append(boxes)
    if not R:
        empty = feature.new_zeros((0, C, *output_size))
        return (empty,) if pool_mode == 'avg' else (empty, empty, empty)
    back = torch.cat(places).argsort()
    return tuple(torch.cat(parts)[back] for parts in zip(*outs, strict=True))


def sample_axis(
    start: Tensor, end: Tensor, bins: int, size: int, scale: float, sampling_ratio: int, aligned: bool
) -> Axis:
    """Sample positions of boxes from `start` to `end`, (R,) each, on an axis of `size` cells."""
    shift = 0.5 if aligned else 0.0
    start, end = start.float() * scale - shift, end.float() * scale - shift
    length = end - start
    if aligned and bool((length < 0).any()):
        raise ValueError('RoIAlign needs boxes with x2 >= x1 and y2 >= y1.')
    length = length if aligned else length.clamp(min=1.0)
    bin_size = length / bins
    counts = torch.full_like(length, sampling_ratio) if sampling_ratio > 0 else bin_size.ceil()
    most = max(int(counts.max()), 1) if len(counts) else 1
    steps = torch.arange(most, device=start.device) + 0.5
    bin_starts = start[:, None] + torch.arange(bins, device=start.device) * bin_size[:, None]  # (R, bins)
    positions = bin_starts[:, :, None] + (steps * bin_size[:, None] / counts.clamp(min=1)[:, None])[:, None]
    low = start.clamp(0, size - 1).floor().long()
    high = (start + length).clamp(0, size - 1).floor().long() + 1
    return Axis(positions, counts.long(), low, high.clamp(max=size - 1) - low + 1, size)


def taps(positions: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The two cells that each position lies between, the second's weight, and whether the position counts at all.

    A position up to one cell outside the map takes the border's value; further out it counts as 0.
    """
    inside = (positions >= -1) & (positions <= size)
    clamped = positions.clamp(0, size - 1)
    first = clamped.floor().long()
    return first, (first + 1).clamp(max=size - 1), clamped - first, inside


def similar_windows(heights: Tensor, widths: Tensor, channels: int) -> Iterator[Tensor]:
    """Indices of boxes whose windows have sides between the same powers of two, as many as the budget allows."""
    sides = torch.stack([heights, widths]).float().log2().ceil().long()
    keys = (sides[0] * 64 + sides[1]).cpu()
    for key in keys.unique().tolist():
        boxes = (keys == key).nonzero()[:, 0].to(heights.device)
        yield from boxes.split(max(1, BUDGET // (channels << key // 64 << key % 64)))


def average(windows: Tensor, y: Axis, x: Axis) -> tuple[Tensor]:
    """windows: (R, h, w, C) -> means over each bin's samples, (R, C, bins, bins)."""
    R, h, w, C = windows.shape
    over_y = y.weights(h, windows.dtype).sum(2) / y.counts.clamp(min=1)[:, None, None].to(windows.dtype)
    over_x = x.weights(w, windows.dtype).sum(2) / x.counts.clamp(min=1)[:, None, None].to(windows.dtype)
    bins = over_y.shape[1]
    rows = torch.bmm(over_y, windows.reshape(R, h, w * C)).view(R * bins, w, C)
    over_x = over_x[:, None].expand(-1, bins, -1, -1).reshape(R * bins, -1, w)
    return (torch.bmm(over_x, rows).view(R, bins, -1, C).permute(0, 3, 1, 2),)


def maximum(windows: Tensor, y: Axis, x: Axis) -> tuple[Tensor, Tensor, Tensor]:
    """windows: (R, h, w, C) -> maxima over each bin's samples, (R, C, bins, bins), and where they were found."""
    (R, h, w, C), (bins_y, n), (bins_x, m) = windows.shape, y.positions.shape[1:], x.positions.shape[1:]
    rows = torch.bmm(y.weights(h, windows.dtype).view(R, bins_y * n, h), windows.reshape(R, h, w * C))
    over_x = x.weights(w, windows.dtype).view(R, 1, bins_x * m, w).expand(-1, bins_y * n, -1, -1)
    samples = torch.bmm(over_x.reshape(R * bins_y * n, bins_x * m, w), rows.view(R * bins_y * n, w, C))
    samples = samples.view(R, bins_y, n, bins_x, m, C).permute(0, 5, 1, 3, 2, 4)  # (R, C, bins, bins, n, m)
    used = (y.used().transpose(1, 2) & x.used())[:, None, None, None]  # (R, 1, 1, 1, n, m)
    samples = samples.masked_fill(~used, LOWEST).reshape(R, C, bins_y, bins_x, n * m)
    pooled, at = samples.max(-1)
    at_y = y.positions[:, None, :, None].expand(-1, C, -1, bins_x, -1).gather(4, at[..., None] // m)[..., 0]
    at_x = x.positions[:, None, None].expand(-1, C, bins_y, -1, -1).gather(4, at[..., None] % m)[..., 0]
    empty = ((y.counts == 0) | (x.counts == 0))[:, None, None, None]
    return pooled, at_y.masked_fill(empty, -1.0), at_x.masked_fill(empty, -1.0)


def spread_maximum(grad: Tensor, rois: Tensor, at_y: Tensor, at_x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient of the maximum: grad, (R, C, bins, bins), spread over the cells around where each was found.

    at_y, at_x: as `pool` returns them; shape: of the feature map, (B, C, H, W), and of the result.
    """
    B, C, H, W = shape
    top, bottom, down, inside_y = taps(at_y.float(), H)
    left, right, across, inside_x = taps(at_x.float(), W)
    inside = inside_y & inside_x & (at_y != -1)
    plane = (rois[:, 0].long()[:, None] * C + torch.arange(C, device=rois.device))[:, :, None, None] * (H * W)
    spread = grad.new_zeros(B * C * H * W)
    for row, weight_y in ((top, 1 - down), (bottom, down)):
        for column, weight_x in ((left, 1 - across), (right, across)):
            values = grad * (weight_y * weight_x * inside).to(grad.dtype)
            spread.index_add_(0, (plane + row * W + column).reshape(-1), values.reshape(-1))
    return spread.view(B, C, H, W)
