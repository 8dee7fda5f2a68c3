"""The MLP that trains as one function on a processor."""

import pytest
import torch
from gradients import assert_same_gradients
from torch import Tensor, nn

from denseformer.layers import Mlp
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
