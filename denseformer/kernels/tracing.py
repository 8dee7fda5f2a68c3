"""Whether what runs is traced or transformed."""

import torch


def is_tracing() -> bool:
    """Whether PyTorch compiles, traces or transforms the function that runs, and must see its own operators in it."""
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return recorded or torch._C._are_functorch_transforms_active()
