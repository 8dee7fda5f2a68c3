"""RoIAlign, https://arxiv.org/abs/1703.06870: a box of a feature map, sampled to a fixed size.

Each output bin is the mean, or the maximum, of bilinear samples on a grid inside the bin. Sample positions form a grid,
so interpolation is separable: with the window of the map that a box covers as a matrix, the samples are Y window X',
and the mean over a bin folds into Y and X. Boxes with windows of similar size go through together, as batched matrix
products.

Legend: R boxes, B images, C channels, H W map, h w window, n samples of a bin along one axis.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LOWEST = -10000.0  # the maximum over no samples, as mmcv defines it
BUDGET = 2**19  # elements of the windows that are processed together: they fit in the CPU cache


@dataclass(frozen=True)
class Axis:
    """Sample positions of the boxes along one axis.

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
        """Mask of the samples that belong to their box, (R, 1, n) bool."""
        numbers = torch.arange(self.positions.shape[2], device=self.counts.device)
        return (numbers < self.counts[:, None])[:, None]

    def means(self, extent: int, dtype: torch.dtype) -> Tensor:
        """Weights of the window's cells in the mean over each bin's samples: (R, bins, extent)."""
        return self.weights(extent, dtype).sum(2) / self.counts.clamp(min=1)[:, None, None].to(dtype)

    def weights(self, extent: int, dtype: torch.dtype) -> Tensor:
        """Bilinear weights of the window's cells in each sample: (R, bins, n, extent)."""
        first, second, fraction, inside = bilinear_cells(self.positions, self.size)
        inside = (inside & self.used()).float()
        low = self.low[:, None, None]
        weights = self.positions.new_zeros((*self.positions.shape, extent))
        weights.scatter_add_(3, (first - low)[..., None].clamp(0, extent - 1), (inside * (1 - fraction))[..., None])
        weights.scatter_add_(3, (second - low)[..., None].clamp(0, extent - 1), (inside * fraction)[..., None])
        return weights.to(dtype)


@dataclass(frozen=True)
class Group:
    """Boxes with windows of similar size: their numbers, their samples, and their windows' cells (R, h, w) of the map.

    A map's cells are numbered image by image and row by row. Windows are as large as the group's largest.
    """

    boxes: Tensor
    y: Axis
    x: Axis
    cells: Tensor


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
        aligned: True puts a cell's value at its centre; False has the half-cell shift of the first papers.

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
    places: bool = False,
) -> tuple[Tensor, ...]:
    """The pooled boxes, (R, C, bins, bins); with `places` also the y and x at which the maximum was found."""
    if pool_mode not in ('avg', 'max'):
        raise ValueError(f"RoIAlign has no pool_mode '{pool_mode}'; there are 'avg' and 'max'.")
    (B, C, H, W), R = feature.shape, len(rois)
    if not R:
        empty = feature[:0, :, :1, :1].expand(0, C, *output_size)  # of the map, so that it has a gradient
        return (empty, empty, empty) if places else (empty,)
    function = average if pool_mode == 'avg' else maximum_and_places if places else maximum
    cells = feature.permute(0, 2, 3, 1).reshape(B * H * W, C)
    outs, boxes = [], []
    for group in groups(rois, feature.shape, output_size, spatial_scale, sampling_ratio, aligned):
        windows = cells.index_select(0, group.cells.reshape(-1)).view(*group.cells.shape, C)
        outs.append(function(windows, group.y, group.x))
        boxes.append(group.boxes)
    back = torch.cat(boxes).argsort()
    return tuple(torch.cat(parts).index_select(0, back) for parts in zip(*outs, strict=True))


def groups(
    rois: Tensor,
    shape: Sequence[int],
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Iterator[Group]:
    """The boxes on a map (B, C, H, W), in groups."""
    _, C, H, W = shape
    x = sample_axis(rois[:, 1], rois[:, 3], output_size[1], W, spatial_scale, sampling_ratio, aligned)
    y = sample_axis(rois[:, 2], rois[:, 4], output_size[0], H, spatial_scale, sampling_ratio, aligned)
    image = rois[:, 0].long() * (H * W)
    for boxes in similar_windows(y.extent, x.extent, C):
        ys, xs = y.select(boxes), x.select(boxes)
        rows = (ys.low[:, None] + torch.arange(int(ys.extent.max()), device=rois.device)).clamp(max=H - 1)  # (R, h)
        columns = (xs.low[:, None] + torch.arange(int(xs.extent.max()), device=rois.device)).clamp(max=W - 1)  # (R, w)
        yield Group(boxes, ys, xs, image[boxes, None, None] + rows[:, :, None] * W + columns[:, None])


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


def bilinear_cells(positions: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
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
    over_y, over_x = y.means(h, windows.dtype), x.means(w, windows.dtype)
    bins = over_y.shape[1]
    rows = torch.bmm(over_y, windows.reshape(R, h, w * C)).view(R * bins, w, C)
    over_x = over_x[:, None].expand(-1, bins, -1, -1).reshape(R * bins, -1, w)
    return (torch.bmm(over_x, rows).view(R, bins, -1, C).permute(0, 3, 1, 2),)


def samples_of(windows: Tensor, y: Axis, x: Axis) -> tuple[Tensor, Tensor]:
    """windows: (R, h, w, C) -> samples, (R, bins, n, bins, m, C), and which belong to their box, (R, 1, n, 1, m, 1)."""
    (R, h, w, C), (bins_y, n), (bins_x, m) = windows.shape, y.positions.shape[1:], x.positions.shape[1:]
    rows = torch.bmm(y.weights(h, windows.dtype).view(R, bins_y * n, h), windows.reshape(R, h, w * C))
    over_x = x.weights(w, windows.dtype).view(R, 1, bins_x * m, w).expand(-1, bins_y * n, -1, -1)
    samples = torch.bmm(over_x.reshape(R * bins_y * n, bins_x * m, w), rows.view(R * bins_y * n, w, C))
    used = y.used()[..., None, None, None] & x.used()[:, None, None, ..., None]
    return samples.view(R, bins_y, n, bins_x, m, C), used


def maximum(windows: Tensor, y: Axis, x: Axis) -> tuple[Tensor]:
    """windows: (R, h, w, C) -> maxima over each bin's samples, (R, C, bins, bins)."""
    samples, used = samples_of(windows, y, x)
    samples = samples if bool(used.all()) else samples.masked_fill(~used, LOWEST)
    return (samples.amax((2, 4)).permute(0, 3, 1, 2),)


def maximum_and_places(windows: Tensor, y: Axis, x: Axis) -> tuple[Tensor, Tensor, Tensor]:
    """As `maximum`, with the y and x of the first of the samples that have it; -1 for a bin without samples."""
    samples, used = samples_of(windows, y, x)
    pooled = torch.full_like(samples[:, :, 0, :, 0], LOWEST)  # (R, bins, bins, C)
    at_y, at_x = torch.full_like(pooled, -1.0), torch.full_like(pooled, -1.0)
    for i, j in itertools.product(range(samples.shape[2]), range(samples.shape[4])):
        better = (samples[:, :, i, :, j] > pooled) & used[:, :, i, :, j]
        pooled = torch.where(better, samples[:, :, i, :, j], pooled)
        at_y = torch.where(better, y.positions[:, :, i, None, None].to(at_y.dtype), at_y)
        at_x = torch.where(better, x.positions[:, None, :, j, None].to(at_x.dtype), at_x)
    return pooled.permute(0, 3, 1, 2), at_y.permute(0, 3, 1, 2), at_x.permute(0, 3, 1, 2)


def roi_align_backward(
    grad: Tensor, rois: Tensor, shape: Sequence[int], spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    """The gradient of the mean: grad, (R, C, bins, bins), spread over the cells of a map (B, C, H, W)."""
    B, C, H, W = shape
    spread = grad.new_zeros(B * H * W, C)
    for group in groups(rois, shape, tuple(grad.shape[2:]), spatial_scale, sampling_ratio, aligned):
        R, h, w = group.cells.shape
        over_y, over_x = group.y.means(h, grad.dtype), group.x.means(w, grad.dtype)
        bins_y, bins_x = grad.shape[2:]
        part = grad.index_select(0, group.boxes).permute(0, 2, 3, 1).reshape(R * bins_y, bins_x, C)
        over_x = over_x[:, None].expand(-1, bins_y, -1, -1).reshape(R * bins_y, bins_x, w)
        rows = torch.bmm(over_x.transpose(1, 2), part).view(R, bins_y, w * C)
        windows = torch.bmm(over_y.transpose(1, 2), rows)  # (R, h, w * C)
        spread.index_add_(0, group.cells.reshape(-1), windows.view(R * h * w, C))
    return spread.view(B, H, W, C).permute(0, 3, 1, 2)


def roi_align_backward_max(grad: Tensor, rois: Tensor, at_y: Tensor, at_x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient of the maximum: grad, (R, C, bins, bins), spread over the cells around where each was found.

    at_y, at_x: as `pool` returns them; shape: of the feature map, (B, C, H, W), and of the result.
    """
    B, C, H, W = shape
    top, bottom, down, inside_y = bilinear_cells(at_y.float(), H)
    left, right, across, inside_x = bilinear_cells(at_x.float(), W)
    inside = inside_y & inside_x & (at_y != -1)
    plane = (rois[:, 0].long()[:, None] * C + torch.arange(C, device=rois.device))[:, :, None, None] * (H * W)
    spread = grad.new_zeros(B * C * H * W)
    for row, weight_y in ((top, 1 - down), (bottom, down)):
        for column, weight_x in ((left, 1 - across), (right, across)):
            values = grad * (weight_y * weight_x * inside).to(grad.dtype)
            spread.index_add_(0, (plane + row * W + column).reshape(-1), values.reshape(-1))
    return spread.view(B, C, H, W)
