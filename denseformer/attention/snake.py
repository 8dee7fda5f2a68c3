"""Orders in which a map's positions are walked through without a jump.

Legend: H W map, L = H * W positions, row by row.
"""

import torch
from torch import Tensor

from denseformer.caching import cached_constant

START, RIGHT, LEFT, UP, DOWN = range(5)
"""Moves by which a walk comes to a position."""


@cached_constant(32)
def snake_orders(size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Rows to and fro from the top, the same backwards, columns to and fro from the left, and the same backwards.

    Returns, each (4, L): the position at each step of a walk, the step at each position, and the move of each step.
    """
    H, W = size
    row, column = torch.arange(H, device=device)[:, None], torch.arange(W, device=device)
    across = torch.where(row % 2 == 1, W - 1 - column, column)  # (H, W), the column in which a row's steps are
    down = torch.where(column % 2 == 1, H - 1 - row, row)  # (H, W), the row in which a column's steps are
    rows = (row * W + across).flatten()  # position of step and step of position alike
    columns, columns_inverse = (down * W + column).T.flatten(), (column * H + down).flatten()
    orders = torch.stack([rows, rows.flip(0), columns, columns.flip(0)])
    inverses = torch.stack([rows, H * W - 1 - rows, columns_inverse, H * W - 1 - columns_inverse])
    return orders, inverses, moves(orders, W)


def moves(orders: Tensor, width: int) -> Tensor:
    """Moves of walks (n, L), from each step to the next."""
    steps = orders.diff(dim=1)
    by_row = torch.where(steps > 0, DOWN, UP)
    within_row = orders[:, 1:] // width == orders[:, :-1] // width
    came = torch.where(within_row, torch.where(steps > 0, RIGHT, LEFT), by_row)
    return torch.cat([torch.full_like(orders[:, :1], START), came], 1)
