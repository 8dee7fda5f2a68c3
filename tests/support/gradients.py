"""Two ways of computing the same, compared in their outputs' types and in their gradients."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Run = Callable[[Tensor], Tensor]


def assert_same_gradients(
    run: Run, other: Run, x: Tensor, layer: nn.Module, *, frozen: str, dtype: torch.dtype
) -> None:
    """Gradients of `x` and the parameters of `layer` but the `frozen` one, in float32 or under bfloat16 autocast."""
    inputs = {'x': x, **dict(layer.named_parameters())}
    for name, tensor in inputs.items():
        tensor.requires_grad_(name != frozen)
    trained = [tensor for tensor in inputs.values() if tensor.requires_grad]
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype is torch.bfloat16):
        outs = run(x), other(x)
    assert {out.dtype for out in outs} == {dtype}
    goal = torch.randn(outs[0].shape)
    ours, theirs = (torch.autograd.grad((out.float() * goal).sum(), trained) for out in outs)
    tolerance = 1e-5 if dtype is torch.float32 else 2e-2
    for grad, expected in zip(ours, theirs, strict=True):
        assert grad.dtype == torch.float32
        torch.testing.assert_close(grad, expected, rtol=tolerance, atol=tolerance * expected.abs().max().item())
