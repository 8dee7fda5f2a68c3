"""Caches of constant tensors (masks, index tables, coordinates) and of tensors made from a module's parameters."""

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Constants = TypeVar('Constants')


def cached_constant(maxsize: int) -> Callable[[Callable[..., Constants]], Callable[..., Constants]]:
    """`lru_cache` for a function of hashable arguments that returns tensors nobody writes to.

    A cached tensor serves inference mode and training alike, and nothing is cached while a graph is traced,
    when tensors have no values.
    """

    def decorate(build: Callable[..., Constants]) -> Callable[..., Constants]:
        @lru_cache(maxsize)
        def cached(*args: Any) -> Constants:
            with torch.inference_mode(False), torch.no_grad():
                return build(*args)

        @wraps(build)
        def look_up(*args: Any) -> Constants:
            return build(*args) if torch.compiler.is_compiling() else cached(*args)

        return look_up

    return decorate


class CachesInEval(nn.Module):
    """A module that makes a tensor from its parameters alone and keeps it while predicting, outside the state dict.

    It is made again with gradients enabled, in training mode and while a graph is traced; otherwise when a parameter
    was written to, replaced or moved, when another `key` is asked for, under another precision of autocast, and after
    `train` or `eval` (weights that are swapped behind autograd's back, as averaging hooks do, are swapped between such
    calls).
    """

    _cached: tuple[tuple, Tensor] | None = None

    def cached(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or self.training:
            return make()
        state = (key, *((p.device, autocast_dtype(p), p.data_ptr(), version(p)) for p in self.parameters()))
        entry = self._cached
        if entry is None or entry[0] != state:
            self._cached = entry = state, make()
        return entry[1]

    def train(self, mode: bool = True) -> 'CachesInEval':
        self._cached = None
        return super().train(mode)

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), '_cached': None}


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """The type that autocast rounds to on the device of `x`; None where it is off."""
    device = x.device.type
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)  # the meta device has none
    return torch.get_autocast_dtype(device) if on else None


def version(parameter: Tensor) -> int:
    """The number of writes to `parameter` that autograd has seen; it counts none of tensors made in inference mode."""
    return 0 if parameter.is_inference() else parameter._version
