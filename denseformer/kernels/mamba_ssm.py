"""The compiled kernels of `mamba_ssm`, which run on CUDA where that package is installed."""

import importlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from mmengine.logging import print_log
from torch import Tensor

from denseformer.kernels.switch import enabled, is_tracing


def mamba_kernel(module: str, function: str, device: str) -> Callable[..., Tensor] | None:
    """`function` of `mamba_ssm.ops`'s `module` for tensors on a device of that type, None where it cannot run.

    A tracer sees the definition, which PyTorch compiles itself: it cannot look into the kernel.
    """
    return load_kernel(module, function, device) if enabled() and not is_tracing() else None


@cache
def load_kernel(module: str, function: str, device: str) -> Callable[..., Tensor] | None:
    """Look `function` up, once; the log of the run then says which implementation computes the function."""
    kernel = None
    if device == 'cuda':
        with suppress(ImportError, OSError):  # not installed, or compiled for another PyTorch
            kernel = getattr(importlib.import_module(f'mamba_ssm.ops.{module}'), function)
    chosen = 'plain PyTorch' if kernel is None else 'the compiled kernel of mamba_ssm'
    print_log(f'{function} on {device}: {chosen}', logger='current')
    return kernel
