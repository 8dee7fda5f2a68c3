"""The MLP that trains as one function on a processor."""

import pytest
import torch
from gradients import assert_same_gradients
from torch import Tensor, nn

from denseformer import layers
from denseformer.layers import ConvMlp2d, DropPath, Mlp, Mlp2d, accumulate_mlp, add_scaled
from denseformer.layers.linear import Linear


def step_by_step(mlp: Mlp, x: Tensor) -> Tensor:
    hidden = mlp.act(nn.functional.linear(x, mlp.fc1.weight, mlp.fc1.bias))
    return nn.functional.linear(hidden, mlp.fc2.weight, mlp.fc2.bias)


@pytest.mark.parametrize('frozen', ['nothing', 'x', 'fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_trains_as_its_layers_do(dtype, frozen):
    torch.manual_seed(0)
    mlp, x = Mlp(6, 20), torch.randn(2, 3, 5, 6)
    assert_same_gradients(mlp, lambda x: step_by_step(mlp, x), x, mlp, frozen=frozen, dtype=dtype)


def test_keeps_one_hidden_map_for_the_gradient():
    mlp, x, kept = Mlp(4, 64), torch.randn(9, 4), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.shape) or tensor, lambda x: x):
        mlp(x)
    assert kept.count(torch.Size([9, 64])) == 1


@pytest.mark.parametrize('act', [nn.ReLU, lambda: nn.GELU('tanh')], ids=['relu', 'gelu-tanh'])
def test_other_activations_are_applied(act):
    mlp, x = Mlp(4, 8, act), torch.randn(3, 4)
    torch.testing.assert_close(mlp(x), step_by_step(mlp, x))


def test_hooks_and_replaced_layers_are_heeded():
    class Doubled(Linear):
        def forward(self, x: Tensor, act: nn.Module | None = None) -> Tensor:
            return 2 * super().forward(x, act)

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


def test_gradients_can_be_differentiated_again():
    torch.manual_seed(0)
    mlp, x = Mlp(4, 8), torch.randn(3, 4, requires_grad=True)
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


def branches() -> tuple[nn.Module, Mlp, Tensor]:
    torch.manual_seed(0)
    return nn.LayerNorm(4).eval(), Mlp(4, 8).eval(), torch.randn(2, 3, 5, 4)


@pytest.mark.parametrize('gain', [None, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('x_dtype', [torch.float32, torch.bfloat16], ids=str)
def test_a_map_is_predicted_by_rows_as_it_is_whole(x_dtype, autocast, gain, monkeypatch):
    monkeypatch.setattr('denseformer.layers.mlp.HIDDEN_NUMBERS', 7 * 8)  # 7 rows of 30 at a time
    norm, mlp, x = branches()
    gamma = None if gain is None else torch.randn(4).to(gain)
    if x_dtype is torch.bfloat16 and not autocast:
        norm, mlp = norm.bfloat16(), mlp.bfloat16()
    x = x.to(x_dtype)
    with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        expected = add_scaled(x, mlp(norm(x)), gamma)
        torch.testing.assert_close(accumulate_mlp(x, norm, mlp, gamma), expected)


def test_rows_are_added_to_the_map_and_no_hidden_map_is_whole(monkeypatch):
    monkeypatch.setattr('denseformer.layers.mlp.HIDDEN_NUMBERS', 7 * 8)
    norm, mlp, x = branches()
    seen, project = [], layers.mlp.project
    monkeypatch.setattr('denseformer.kernels.linear.project', lambda x, *args: seen.append(len(x)) or project(x, *args))
    with torch.no_grad():
        assert accumulate_mlp(x, norm, mlp) is x
    assert seen == [6] * 10  # five parts through two layers


@pytest.mark.parametrize('name', ['norm', 'mlp', 'mlp.fc1'])
def test_hooks_see_whole_maps(name, monkeypatch):
    monkeypatch.setattr('denseformer.layers.mlp.HIDDEN_NUMBERS', 7 * 8)
    norm, mlp, x = branches()
    seen = []
    hooked = nn.ModuleDict({'norm': norm, 'mlp': mlp}).get_submodule(name)
    hooked.register_forward_hook(lambda layer, inputs, out: seen.append(out.shape[:-1]))
    with torch.no_grad():
        accumulate_mlp(x, norm, mlp)
    assert seen == [torch.Size([2, 3, 5])]


def test_paths_are_dropped_for_whole_images_also_where_no_gradient_is_recorded():
    norm, mlp, _ = branches()
    mlp.train()
    x = torch.randn(40, 3, 5, 4)
    with torch.no_grad():
        changed = (accumulate_mlp(x.clone(), norm, mlp, drop_path=DropPath(0.5)) != x).flatten(1)
    assert torch.equal(changed.any(1), changed.all(1))
    assert 0 < changed.any(1).sum() < 40


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
