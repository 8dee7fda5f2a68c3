"""The MLP, which its kernel trains as one function and predicts in parts."""

import pytest
import torch
from gradients import assert_same_gradients
from torch import Tensor, nn

from denseformer.kernels import linear
from denseformer.kernels import mlp as mlp_kernel
from denseformer.layers import ConvMlp, ConvMlp2d, Linear, Mlp, Mlp2d


def step_by_step(mlp: Mlp | ConvMlp, x: Tensor) -> Tensor:
    hidden = nn.functional.linear(x, mlp.fc1.weight, mlp.fc1.bias)
    if isinstance(mlp, ConvMlp):
        hidden = mlp.dwconv(hidden)
    return nn.functional.linear(mlp.act(hidden), mlp.fc2.weight, mlp.fc2.bias)


@pytest.fixture(params=[False, True], ids=['mkl', 'onednn'])
def product(request, monkeypatch):
    """The product of float32 by each library, be it the faster one on this CPU or not."""
    if request.param and linear.ONEDNN is None:
        pytest.skip('this PyTorch is without oneDNN')
    dtypes = linear.ONEDNN_DTYPES - {torch.float32} | ({torch.float32} if request.param else set())
    monkeypatch.setattr(linear, 'ONEDNN_DTYPES', dtypes)


@pytest.mark.parametrize('frozen', ['nothing', 'x', 'fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('kind', [Mlp, ConvMlp])
@pytest.mark.usefixtures('product')
def test_trains_as_its_layers_do(kind, dtype, frozen):
    torch.manual_seed(0)
    mlp, x = kind(6, 20), torch.randn(2, 3, 5, 6)
    assert_same_gradients(mlp, lambda x: step_by_step(mlp, x), x, mlp, frozen=frozen, dtype=dtype)


def test_keeps_one_hidden_map_for_the_gradient():
    mlp, x, kept = Mlp(4, 64), torch.randn(9, 4), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.shape) or tensor, lambda x: x):
        mlp(x)
    assert kept.count(torch.Size([9, 64])) == 1


def test_with_a_convolution_keeps_what_it_takes_and_gives_for_the_gradient():
    mlp, x, kept = ConvMlp(4, 64), torch.randn(1, 3, 3, 4), set()
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.add(tensor.data_ptr()) or tensor, lambda x: x):
        out = mlp(x)
    maps = {tensor.data_ptr() for tensor in (x, mlp.fc1.weight, mlp.fc2.weight, mlp.dwconv.weight, out)}
    assert len(kept - maps) == 2


@pytest.mark.parametrize('act', [nn.ReLU, lambda: nn.GELU('tanh')], ids=['relu', 'gelu-tanh'])
def test_other_activations_are_applied(act):
    mlp, x = Mlp(4, 8, act), torch.randn(3, 4)
    torch.testing.assert_close(mlp(x), step_by_step(mlp, x))


def test_hooks_and_replaced_layers_are_heeded():
    class Doubled(Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    mlp, x, seen = Mlp(4, 8), torch.randn(3, 4), []
    expected = mlp(x)
    hook = mlp.fc1.register_forward_hook(lambda layer, inputs, out: seen.append(out.shape))
    torch.testing.assert_close(mlp(x), expected)
    hook.remove()
    assert seen == [torch.Size([3, 8])]
    doubled = Doubled(8, 4)
    doubled.load_state_dict(mlp.fc2.state_dict())
    mlp.fc2 = doubled
    torch.testing.assert_close(mlp(x), 2 * expected)


@pytest.mark.parametrize('kind', [Mlp, ConvMlp])
def test_gradients_can_be_differentiated_again(kind):
    torch.manual_seed(0)
    mlp, x = kind(4, 8), torch.randn(1, 3, 2, 4, requires_grad=True)
    seconds = []
    for run in (mlp, lambda x: step_by_step(mlp, x)):
        (grad,) = torch.autograd.grad(run(x).square().sum(), x, create_graph=True)
        seconds.append(torch.autograd.grad(grad.square().sum(), [x, *mlp.parameters()]))
    for ours, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_function_transforms_see_plain_layers():
    torch.manual_seed(0)
    mlp, x = Mlp(3, 5), torch.randn(4, 3)
    jacobians = torch.func.vmap(torch.func.jacrev(mlp))(x)
    for row, jacobian in zip(x, jacobians, strict=True):
        torch.testing.assert_close(jacobian, torch.autograd.functional.jacobian(mlp, row))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('rows', [1, 7, 30, 100])
@pytest.mark.usefixtures('product')
def test_rows_are_predicted_some_at_a_time_as_they_are_whole(rows, dtype, monkeypatch):
    monkeypatch.setattr('denseformer.kernels.mlp.CHUNK', rows * 8)
    torch.manual_seed(0)
    mlp, x = Mlp(4, 8), torch.randn(2, 3, 5, 4)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=dtype is torch.bfloat16):
        out, expected = mlp(x), step_by_step(mlp, x)
    assert out.dtype is dtype
    tolerance = {} if dtype is torch.float32 else {'rtol': 0.02, 'atol': 0.02}
    torch.testing.assert_close(out, expected, **tolerance)


def test_no_hidden_map_is_whole_in_a_prediction(monkeypatch):
    monkeypatch.setattr('denseformer.kernels.mlp.CHUNK', 7 * 8)
    seen, product = [], mlp_kernel.product
    monkeypatch.setattr(mlp_kernel, 'product', lambda x, *args: seen.append(len(x)) or product(x, *args))
    with torch.no_grad():
        Mlp(4, 8)(torch.randn(30, 4))
    assert seen == [6] * 10  # five parts through two layers


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('kind', [Mlp2d, ConvMlp2d])
def test_on_channel_first_maps_layers_are_convolutions(kind, layout, training):
    torch.manual_seed(0)
    mlp, x = kind(4, 8), torch.randn(2, 4, 5, 3).contiguous(memory_format=layout)
    weights = [layer.weight[:, :, None, None] for layer in (mlp.fc1, mlp.fc2)]
    hidden = nn.functional.conv2d(x, weights[0], mlp.fc1.bias)
    if kind is ConvMlp2d:
        hidden = nn.functional.conv2d(hidden, mlp.dwconv.weight, mlp.dwconv.bias, padding=1, groups=8)
    expected = nn.functional.conv2d(nn.functional.gelu(hidden), weights[1], mlp.fc2.bias)
    with torch.set_grad_enabled(training):
        torch.testing.assert_close(mlp(x), expected)
