import pytest
import torch

from denseformer.layers import DepthwiseConv


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('under_autocast', [False, True])
def test_wide_kernels_train_in_bfloat16_as_in_float32(bias, under_autocast):
    conv = DepthwiseConv(4, 7, bias=bias)
    x, weights = torch.randn(2, 9, 11, 4), torch.randn(2, 9, 11, 4)
    inputs = (x.clone().requires_grad_(), *conv.parameters())
    expected = torch.autograd.grad(conv(inputs[0]), inputs, weights)
    x = inputs[0] if under_autocast else inputs[0].bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=under_autocast):
        out = conv(x)
    assert out.dtype is torch.bfloat16
    for gradient, exact in zip(torch.autograd.grad(out, inputs, weights.bfloat16()), expected, strict=True):
        assert gradient.dtype is torch.float32
        torch.testing.assert_close(gradient, exact, rtol=0.02, atol=0.02 * exact.std().item())


@pytest.mark.parametrize('dim', [4, 700])
def test_gradients_of_wide_kernels_are_those_of_a_convolution(dim):
    conv = DepthwiseConv(dim, 7).double()
    x = torch.randn(2, 9, 5, dim, dtype=torch.float64, requires_grad=True)
    inputs, weights = (x, *conv.parameters()), torch.randn(2, 9, 5, dim, dtype=torch.float64)
    plain = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), conv.weight, conv.bias, padding=3, groups=dim)
    expected = torch.autograd.grad(plain.permute(0, 2, 3, 1), inputs, weights)
    torch.testing.assert_close(torch.autograd.grad(conv(x), inputs, weights), expected)


def test_a_frozen_kernel_hands_gradients_on():
    conv = DepthwiseConv(4, 7).requires_grad_(False)
    x = torch.randn(1, 8, 8, 4, dtype=torch.bfloat16, requires_grad=True)
    conv(x).sum().backward()
    assert x.grad.abs().sum() > 0
