"""Sides of maps that may be dynamic: `torch.export` traces a graph for any size with symbols in place of numbers.

A comparison of a symbol writes its outcome into the graph, which then takes only sizes of that outcome. So what is
cheap is done for every dynamic size, whether it is needed or not: padding by nothing, resizing to the same size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def is_symbolic(*sides: int) -> bool:
    """Whether any side is a symbol."""
    return any(isinstance(side, torch.SymInt) for side in sides)


def needs_padding(*cells: int) -> bool:
    """Whether there is something to pad, or might be."""
    return is_symbolic(*cells) or any(cells)


def same_size(size: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two sizes are equal, and known to be."""
    return not is_symbolic(*size, *other) and tuple(size) == tuple(other)


def ceil_div(size: int, unit: int) -> int:
    """The number of units that cover `size`; without negative numbers, which ONNX divides otherwise than Python."""
    return (size + unit - 1) // unit


def padding_to_multiple(size: int, multiple: int) -> int:
    """The length that `size` lacks to the next multiple of `multiple`."""
    if multiple == 1:
        return 0
    return (size + multiple - 1) // multiple * multiple - size  # the sum of both is simple, for symbols too


def as_tensor(sizes: Sequence[tuple[int, ...]], like: Tensor) -> Tensor:
    """Sizes as rows of a tensor, (number of sizes, sides of each), of the type of `like`; symbols stay symbols."""
    if not any(is_symbolic(*size) for size in sizes):
        return like.new_tensor(sizes)
    sides = [torch.scalar_tensor(side, dtype=like.dtype, device=like.device) for size in sizes for side in size]
    return torch.stack(sides).unflatten(0, (len(sizes), -1))


def reflect(position: Tensor, size: int, *, repeat_edge: bool = False) -> Tensor:
    """Positions on an axis that runs on from 0 .. size - 1, both ways, by turning back and forth, as those they mean.

    repeat_edge: the first and the last position come twice in a row where the direction turns, otherwise once.
    """
    turn = 0 if repeat_edge else 1
    period = torch.scalar_tensor(2 * (size - turn), dtype=torch.int64, device=position.device).clamp(min=1)
    position = torch.remainder(position, period)
    return torch.minimum(position, period - 1 + turn - position)
