"""Whether what runs is traced or transformed."""

import torch


def is_transformed() -> bool:
    """Whether PyTorch compiles, exports or transforms the function that runs, and must see its own operators in it."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
