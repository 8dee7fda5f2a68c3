"""The linear layer that predicts through oneDNN."""

import pytest
import torch
from torch import nn

from denseformer.layers.linear import Linear


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', [(7,), (5, 7), (2, 3, 4, 7), (0, 7)])
def test_predicts_what_torch_does(shape, bias):
    layer = Linear(7, 9, bias=bias)
    x = torch.randn(shape)
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected.detach())
        torch.testing.assert_close(layer(x[..., None].expand(*shape, 2)[..., 0]), expected.detach())


def test_training_autocast_and_other_types_go_through_torch():
    layer = Linear(6, 4)
    x = torch.randn(3, 6)
    assert layer(x).requires_grad
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with torch.no_grad():
        assert layer.double()(x.double()).dtype == torch.float64
