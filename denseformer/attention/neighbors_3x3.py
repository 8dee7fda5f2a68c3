"""The 3 x 3 neighborhoods of a channel-last map, position by position in row-major order.

Legend: B batch, H W map, T = 9 offsets.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.caching import cached_constant


def pad_by_one(x: Tensor) -> Tensor:
    """(B, H, W, ...) -> (B, H + 2, W + 2, ...), 0 around the map."""
    return F.pad(x, (0, 0) * (x.ndim - 3) + (1, 1, 1, 1))


def shifts_3x3(x: Tensor) -> Iterator[Tensor]:
    """The neighbors of every position, 0 outside the map: T views (B, H, W, ...)."""
    H, W = x.shape[1:3]
    x = pad_by_one(x)
    for row in range(3):
        for column in range(3):
            yield x[:, row : row + H, column : column + W]


def fold_3x3(x: Tensor) -> Tensor:
    """The adjoint of `shifts_3x3`, sums of what neighbors send to a position: (B, H, W, T, ...) -> (B, H, W, ...)."""
    H, W = x.shape[1:3]
    x = pad_by_one(x)
    sent = [x[:, 2 - t // 3 : 2 - t // 3 + H, 2 - t % 3 : 2 - t % 3 + W, t] for t in range(9)]
    return torch.stack(sent).sum(0)


@cached_constant(64)
def inside_map(H: int, W: int, device: torch.device) -> Tensor:
    """(H, W, T): whether each neighbor of a position lies on the map."""
    shift = torch.arange(-1, 2, device=device)
    rows, columns = (torch.arange(side, device=device)[:, None] + shift for side in (H, W))
    rows, columns = (rows >= 0) & (rows < H), (columns >= 0) & (columns < W)
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(2)
