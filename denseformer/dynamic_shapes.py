"""Sides of maps, where some may be open: `torch.export` traces a graph for any size with symbols in place of numbers.

A comparison of a symbol writes its outcome into the graph, which then takes only sizes of that outcome. So what is
cheap is done for every open size, whether it is needed or not: padding by nothing, resizing to the same size.
"""

import torch


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
    """How many units cover `size`; without negative numbers, which ONNX divides otherwise than Python."""
    return (size + unit - 1) // unit


def missing(size: int, multiple: int) -> int:
    """How much `size` lacks to the next multiple of `multiple`."""
    if multiple == 1:
        return 0
    return (size + multiple - 1) // multiple * multiple - size  # the sum of both is simple, for symbols too
