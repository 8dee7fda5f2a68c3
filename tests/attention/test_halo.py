"""Halo attention stores little for its gradient; the network's reference shows that it is the authors' operator."""

import pytest
import torch
from torch import Tensor

from denseformer import kernels
from denseformer.attention import halo


def random_inputs() -> list[Tensor]:
    """Queries of every other position, keys and values of 16 x 24 positions, 2 heads of 4, windows of 12."""
    torch.manual_seed(0)
    shapes = (1, 8, 12, 2, 4), (1, 16, 24, 2, 8), (23, 4), (23, 4)
    return [torch.randn(shape, requires_grad=True) for shape in shapes]


def attend(q: Tensor, kv: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return halo.halo_attention(q, kv, block=8, halo=2, rows=rows, columns=columns)


@pytest.mark.parametrize('frozen', range(4))
def test_gathering_again_does_not_change_the_gradient(frozen):
    inputs = random_inputs()
    inputs[frozen].requires_grad_(False)
    wanted = [x for x in inputs if x.requires_grad]
    again = torch.autograd.grad(attend(*inputs).square().sum(), wanted)
    with kernels.disabled():
        kept = torch.autograd.grad(attend(*inputs).square().sum(), wanted)
    for ours, expected in zip(again, kept, strict=True):
        torch.testing.assert_close(ours, expected)
