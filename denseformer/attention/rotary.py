"""Rotary position embedding: "RoFormer", https://arxiv.org/abs/2104.09864.

Legend: H W map, h heads, d head width.
"""

import torch
from torch import Tensor

from denseformer.caching import cached_constant

Rotation = tuple[Tensor, Tensor]


@cached_constant(32)
def row_major_rotation(size: tuple[int, int], width: int, device: torch.device) -> Rotation:
    """Sine and cosine, (H, W, 1, d/2) each, of the angles of a map's positions counted row by row.

    The d/2 frequencies run geometrically from 1 down to 1/10000, both included.
    """
    H, W = size
    frequency = 1 / 10000 ** torch.linspace(0, 1, width // 2, device=device)
    angle = torch.arange(H * W, dtype=torch.float32, device=device)[:, None] * frequency
    angle = angle.view(H, W, 1, -1)
    return angle.sin(), angle.cos()


@cached_constant(32)
def axial_rotation(size: tuple[int, int], width: int, device: torch.device) -> Rotation:
    """Sine and cosine, (H, W, 1, d/2) each: half of the pairs are turned by the row, the other half by the column.

    Either half's frequencies run geometrically from 1 down to 1/10000, both included.
    """
    H, W = size
    frequency = 1 / 10000 ** torch.linspace(0, 1, width // 4, device=device)
    down, across = (torch.arange(side, dtype=torch.float32, device=device)[:, None] * frequency for side in size)
    angle = torch.cat([down[:, None].expand(-1, W, -1), across.expand(H, -1, -1)], -1)[:, :, None]
    return angle.sin(), angle.cos()


@cached_constant(32)
def resized_rotation(size: tuple[int, int], trained: int, width: int, device: torch.device) -> Rotation:
    """Sine and cosine, (H, W, d/2) each: half of the pairs are turned by the row, the other half by the column.

    EVA-02's: rows and columns are counted as if there were `trained` of either, on a map of any size. Either half's
    frequencies run geometrically from 1 towards 1/10000, which is left out.
    """
    frequency = 1 / 10000 ** (torch.arange(0, width // 2, 2, device=device) / (width // 2))
    turns = [(torch.arange(side, device=device) / side * trained)[:, None] * frequency for side in size]
    down, across = turns[0][:, None].expand(-1, size[1], -1), turns[1].expand(size[0], -1, -1)
    angle = torch.cat([down, across], -1)
    return angle.sin(), angle.cos()


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn each pair of successive channels by its angle: (B, H, W, .., d) -> the same."""
    sin, cos = rotation
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2).to(x.dtype)


def rotate_halves(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn each channel of a part's first half with its fellow of the second half: (..., N, d) -> the same.

    rotation: sine and cosine of the angles, (N, parts, d / parts / 2) each; `parts` of the channels turn by themselves.
    """
    sin, cos = rotation
    parts = x.to(torch.promote_types(x.dtype, sin.dtype)).unflatten(-1, (sin.shape[-2], -1))
    a, b = parts.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2).to(x.dtype)


@cached_constant(32)
def centered_angles(
    size: tuple[int, int], width: int, base: float, prefix: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Angles (prefix + H * W, 1, d/2) by where a patch's center lies in the image: DINOv3.

    Rows and columns run from -1 to 1 whatever the map's size; the first d/4 angles are the row's, the others the
    column's, with periods from 1 up to nearly `base`. The `prefix` tokens in front are not turned.
    """
    period = base ** (torch.arange(width // 4, device=device, dtype=dtype) / (width // 4))
    rows, columns = ((torch.arange(side, device=device, dtype=dtype) + 0.5) / side * 2 - 1 for side in size)
    angle = torch.cat(of_places(2 * torch.pi * rows[:, None] / period, 2 * torch.pi * columns[:, None] / period), -1)
    return torch.cat([angle.new_zeros(prefix, width // 2), angle])[:, None]


@cached_constant(32)
def centered_rotation(
    size: tuple[int, int], width: int, base: float, prefix: int, device: torch.device, dtype: torch.dtype
) -> Rotation:
    """Sine and cosine, (prefix + H * W, 1, d/2) each, of `centered_angles`."""
    angle = centered_angles(size, width, base, prefix, device, dtype)
    return angle.sin(), angle.cos()


@cached_constant(32)
def counted_rotation(
    size: tuple[int, int], width: int, base: float, device: torch.device, dtype: torch.dtype
) -> Rotation:
    """Sine and cosine, (H * W, 2, d/4) each, of angles by a patch's row, then its column, from 0: CroCo v2."""
    frequency = base ** (-torch.arange(width // 4, device=device, dtype=dtype) / (width // 4))
    rows, columns = (torch.arange(side, device=device, dtype=dtype)[:, None] * frequency for side in size)
    angle = torch.stack(of_places(rows, columns), 1)
    return angle.sin(), angle.cos()


def of_places(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Values of rows (H, K) and of columns (W, K) for each place of a map: (H * W, K) each."""
    H, W = rows.shape[0], columns.shape[0]
    return rows[:, None].expand(-1, W, -1).flatten(0, 1), columns[None].expand(H, -1, -1).flatten(0, 1)
