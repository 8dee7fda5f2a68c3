"""CachesInEval constant tensors: masks, index tables, coordinates, and what is made from a module's parameters."""

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import TypeVar

import torch
from torch import Tensor, nn

Constants = TypeVar('Constants')


def cached_constant(maxsize: int) -> Callable[[Callable[..., Constants]], Callable[..., Constants]]:
    """`lru_cache` for a function of hashable arguments that returns tensors nobody writes to.

    What is remembered serves inference mode and training alike, and nothing is remembered while a graph is traced,
    when tensors have no values.
    """

    def decorate(build: Callable[..., Constants]) -> Callable[..., Constants]:
        @lru_cache(maxsize)
        def remembered(*args) -> Constants:
            with torch.inference_mode(False), torch.no_grad():
                return build(*args)

        @wraps(build)
        def look_up(*args) -> Constants:
            return build(*args) if torch.compiler.is_compiling() else remembered(*args)

        return look_up

    return decorate


class CachesInEval(nn.Module):
    """A module that makes a tensor from its parameters alone and keeps it while predicting, outside the state dict.

    It is made anew with gradients enabled, in training mode and while a graph is traced; otherwise when a parameter was
    written to, replaced or moved, when another `key` is asked for, and after `train` or `eval` (weights that are
    swapped behind autograd's back, as averaging hooks do, are swapped between such calls).
    """

    _kept: tuple[tuple, Tensor] | None = None

    def remembered(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or self.training:
            return make()
        state = (key, *((p.device, p.data_ptr(), version(p)) for p in self.parameters()))
        kept = self._kept
        if kept is None or kept[0] != state:
            self._kept = kept = state, make()
        return kept[1]

    def train(self, mode: bool = True) -> 'CachesInEval':
        self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), '_kept': None}


def version(parameter: Tensor) -> int:
    """How often autograd has seen `parameter` written to; it does not count for tensors made in inference mode."""
    return 0 if parameter.is_inference() else parameter._version
