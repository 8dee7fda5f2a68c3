"""Memory for time: activations that are computed again in the backward pass."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from denseformer.kernels.switch import enabled, is_tracing


def recompute(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """function(*inputs), of which nothing but the inputs is stored for the gradient; it draws no random numbers."""
    if enabled() and torch.is_grad_enabled() and not is_tracing():
        return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
    return function(*inputs)
