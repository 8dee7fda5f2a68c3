"""The switch of the kernels, and what they ask of their inputs.

`DENSEFORMER_KERNELS=off` in the environment, or `with kernels.disabled():`, computes everything by its definition.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

VARIABLE = 'DENSEFORMER_KERNELS'
VALUES = {'on': True, '1': True, '': True, 'off': False, '0': False}


def from_environment() -> bool:
    """Whether the environment leaves the kernels enabled. Raises ValueError for a value that means neither."""
    value = os.environ.get(VARIABLE, 'on')
    if value.lower() not in VALUES:
        raise ValueError(f"{VARIABLE} is '{value}'; set it to 'on' or 'off'.")
    return VALUES[value.lower()]


_enabled = from_environment()


def enabled() -> bool:
    """Whether the kernels are switched on."""
    return _enabled


@contextmanager
def disabled() -> Iterator[None]:
    """Compute by the definitions, in every thread; a backward pass belongs inside, with its forward pass."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


def use(x: Tensor) -> bool:
    """Whether kernels may compute from `x`: an ordinary tensor on the CPU, seen by no tracer, and the switch is on."""
    return _enabled and x.device.type == 'cpu' and type(x) is Tensor and not is_tracing()


def is_tracing() -> bool:
    """Whether PyTorch compiles, traces or transforms the function that runs, and must see its own operators in it."""
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return recorded or torch._C._are_functorch_transforms_active()


def is_plain(module: nn.Module | None, kind: type[nn.Module]) -> bool:
    """Whether calling `module` does what `kind` defines and nothing else: it is no subclass, and has no hooks."""
    if type(module) is not kind:
        return False
    return not (module._forward_pre_hooks or module._forward_hooks or module._backward_hooks)
