"""Gradients that can be differentiated themselves, as a gradient penalty needs."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradients_of(function: Callable[..., Tensor], inputs: Sequence[Tensor | None], grad: Tensor) -> list[Tensor | None]:
    """Gradients of function(*inputs) w.r.t. each input that requires one.

    `function` consists of operators that PyTorch differentiates; None stands for the gradients of the other inputs.
    """
    wanted = [x is not None and x.requires_grad for x in inputs]
    sources = [x for x, want in zip(inputs, wanted, strict=True) if want]
    found = iter(torch.autograd.grad(function(*inputs), sources, grad, create_graph=True))
    return [next(found) if want else None for want in wanted]
