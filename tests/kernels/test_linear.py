"""Linear layers through oneDNN."""

import pytest
import torch
from gradients import assert_same_gradients
from torch import nn

from denseformer.kernels import linear
from denseformer.kernels.linear import MANY_ROWS
from denseformer.layers import Linear


@pytest.fixture(autouse=True)
def onednn(monkeypatch):
    """oneDNN in float32, be it the faster one on this CPU or not."""
    if linear.ONEDNN is None:
        pytest.skip('this PyTorch is without oneDNN')
    monkeypatch.setattr(linear, 'ONEDNN_DTYPES', {torch.float32, *linear.ONEDNN_DTYPES})


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', [(7,), (5, 7), (2, 3, 4, 7), (0, 7)])
def test_predicts_what_torch_does(shape, bias):
    layer = Linear(7, 9, bias=bias)
    x = torch.randn(shape)
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected.detach())
        torch.testing.assert_close(layer(x[..., None].expand(*shape, 2)[..., 0]), expected.detach())


@pytest.mark.parametrize('frozen', ['nothing', 'weight', 'bias', 'x'])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize(('dtype', 'rows'), [(torch.float32, 5), (torch.float32, MANY_ROWS), (torch.bfloat16, 5)])
def test_trains_as_torch_does(dtype, rows, bias, frozen):
    layer, x = Linear(7, 9, bias=bias), torch.randn(2, rows, 7)
    assert_same_gradients(
        layer, lambda x: nn.functional.linear(x, layer.weight, layer.bias), x, layer, frozen=frozen, dtype=dtype
    )


def test_gradients_can_be_differentiated_again():
    layer, x = Linear(4, 3), torch.randn(MANY_ROWS, 4, requires_grad=True)
    seconds = []
    for run in (layer, lambda x: nn.functional.linear(x, layer.weight, layer.bias)):
        (grad,) = torch.autograd.grad(run(x).pow(3).sum(), x, create_graph=True)
        seconds.append(torch.autograd.grad(grad.square().mean(), [x, *layer.parameters()]))
    for ours, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_mkl_computes_where_it_is_faster(monkeypatch):
    monkeypatch.setattr(linear, 'ONEDNN_DTYPES', set())
    layer, x = Linear(4, 3), torch.randn(5, 4)
    assert not linear.applies(x, layer.weight)
    expected = nn.functional.gelu(nn.functional.linear(x, layer.weight, layer.bias))
    torch.testing.assert_close(linear.product(x, layer.weight, layer.bias, 'gelu'), expected)


def test_an_activation_may_be_written_in_place():
    layer, x = Linear(4, 3), torch.randn(2, 5, 4)
    torch.nn.functional.relu(layer(x), inplace=True).sum().backward()
    assert layer.weight.grad is not None


def test_autocast_and_other_types_keep_their_types():
    layer = Linear(6, 4)
    x = torch.randn(3, 6)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with torch.no_grad():
        assert layer.double()(x.double()).dtype == torch.float64
        with torch.autocast('cpu', torch.bfloat16):
            assert layer(x.double()).dtype == torch.float64
        with pytest.raises(RuntimeError, match='dtype'):
            layer.eval()(x)


def test_bfloat16_follows_every_way_of_changing_the_weights():
    torch.manual_seed(0)
    layer, other, x = Linear(4, 4).eval(), Linear(4, 4), torch.randn(3, 4)

    def error() -> float:
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
            return (layer(x).float() - nn.functional.linear(x.bfloat16(), layer.weight, layer.bias)).abs().max().item()

    assert error() < 1e-2
    with torch.no_grad():
        layer.weight.mul_(3)
        assert error() < 3e-2
        layer.load_state_dict(other.state_dict())
        assert error() < 1e-2
        layer.weight = nn.Parameter(-layer.weight)
        assert error() < 1e-2
        layer.weight.data.copy_(torch.eye(4))  # as averaging hooks swap weights, before they switch to evaluation
        layer.eval()
        assert error() < 1e-2
