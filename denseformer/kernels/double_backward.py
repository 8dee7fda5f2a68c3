"""Gradients that can be differentiated themselves, as a gradient penalty needs."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradients_of(function: Callable[..., Tensor], inputs: Sequence[Tensor | None], grad: Tensor) -> list[Tensor | None]:
    """Those of function(*inputs) by each input that wants one; `function` is made of operators that PyTorch knows."""
    wanted = [x is not None and x.requires_grad for x in inputs]
    sources = [x for x, want in zip(inputs, wanted, strict=True) if want]
    found = iter(torch.autograd.grad(function(*inputs), sources, grad, create_graph=True))
    return [next(found) if want else None for want in wanted]
