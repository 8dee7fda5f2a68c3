"""Networks narrow enough for dozens of them in a minute: a family's operators, on few channels."""

import warnings
from functools import cache
from typing import Any

import torch

from denseformer.backbones.base import MapNetwork
from denseformer.network import Network

WIDTHS = ('width', 'widths', 'dim', 'dims', 'hidden', 'stem', 'conv_widths', 'word_width', 'neck_width')
WIDTHS += ('compressed', 'compress', 'growth', 'partial', 'states')
"""Fields of arch records that count channels."""
DIVISORS = (4, 2, 1)


@cache
def narrow_arch(cls: type[Network]) -> dict[str, Any]:
    """`cls.truncated_arch()` with a quarter of the channels, or half of them or all where heads must be wide."""
    known = cls.truncated_arch()
    for divisor in DIVISORS:
        arch = {name: divided(value, divisor) if name in WIDTHS else value for name, value in known.items()}
        if divisor == DIVISORS[-1] or computes(cls, arch):
            return arch


def divided(channels: Any, divisor: int) -> Any:
    if isinstance(channels, tuple):
        return tuple(divided(each, divisor) for each in channels)
    return channels and channels // divisor


@torch.no_grad()
def computes(cls: type[Network], arch: dict[str, Any]) -> bool:
    """Whether a network of these channels can be built, and takes an image."""
    size = (64, 96) if issubclass(cls, MapNetwork) else (12, 16)
    with torch.random.fork_rng(devices=()), warnings.catch_warnings():
        warnings.filterwarnings('error', 'Initializing zero-element tensors')
        try:
            network = cls(arch=arch).eval()
            network(torch.zeros(1, getattr(network, 'in_channels', 3), *size))
        except (ValueError, RuntimeError, ZeroDivisionError, UserWarning):
            return False
    return True
