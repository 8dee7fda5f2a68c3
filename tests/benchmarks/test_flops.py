"""Counting arithmetic."""

import pytest
import torch
from torch import nn

from benchmarks.flops import multiply_adds


@pytest.mark.parametrize('groups', [1, 2, 8])
@pytest.mark.parametrize('layer', [nn.Conv2d, nn.ConvTranspose2d])
def test_each_gradient_of_a_convolution_costs_what_the_convolution_does(layer, groups):
    convolution, image = layer(8, 8, 3, groups=groups), torch.randn(2, 8, 9, 7, requires_grad=True)
    forward = multiply_adds(lambda: convolution(image))
    out = convolution(image).sum()
    assert forward > 0
    assert multiply_adds(out.backward) == pytest.approx(2 * forward)
