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


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn each pair of successive channels by its angle: (B, H, W, h, d) -> the same."""
    sin, cos = rotation
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2).to(x.dtype)


def rotate_halves(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn each channel of the first half together with its fellow of the second: (..., d) -> the same.

    rotation: sine and cosine of the angles, broadcastable to (..., d/2).
    """
    sin, cos = rotation
    a, b = x.to(torch.promote_types(x.dtype, sin.dtype)).chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


@cached_constant(32)
def centered_rotation(
    size: tuple[int, int], width: int, base: float, prefix: int, device: torch.device, dtype: torch.dtype
) -> Rotation:
    """Sine and cosine, (prefix + H * W, d/2) each, of angles by where a patch's center lies in the image: DINOv3.

    Rows and columns run from -1 to 1 whatever the map's size; the first d/4 angles are the row's, the others the
    column's, with periods from 1 up to nearly `base`. The `prefix` tokens in front are not turned.
    """
    period = base ** (torch.arange(width // 4, device=device, dtype=dtype) / (width // 4))
    rows, columns = ((torch.arange(side, device=device, dtype=dtype) + 0.5) / side * 2 - 1 for side in size)
    rows, columns = (2 * torch.pi * places[:, None] / period for places in (rows, columns))  # (H, d/4), (W, d/4)
    H, W = size
    angle = torch.cat([rows[:, None].expand(-1, W, -1), columns[None].expand(H, -1, -1)], -1).flatten(0, 1)
    angle = torch.cat([angle.new_zeros(prefix, width // 2), angle])
    return angle.sin(), angle.cos()
