"""Remembering constant tensors: masks, index tables, coordinates."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

import torch

Constants = TypeVar('Constants')


def remember(maxsize: int) -> Callable[[Callable[..., Constants]], Callable[..., Constants]]:
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
