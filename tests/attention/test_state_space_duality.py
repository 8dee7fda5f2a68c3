"""State-space duality agrees with its recurrence, and the non-causal form with attention without softmax."""

import pytest
import torch
from torch import Tensor

from denseformer.attention.state_space_duality import state_space_duality

SHAPES = [(1, 1, 2, 3, 1, 2), (2, 64, 4, 2, 2, 3), (1, 65, 2, 4, 1, 5), (2, 200, 4, 3, 2, 2)]


def random_inputs(batch: int, length: int, heads: int, width: int, groups: int, states: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    inputs = {
        'x': torch.randn(batch, length, heads, width),
        'dt': 2 * torch.rand(batch, length, heads),
        'A': -3 * torch.rand(heads),
        'B': torch.randn(batch, length, groups, states),
        'C': torch.randn(batch, length, groups, states),
        'D': torch.randn(heads),
    }
    return {name: x.double().requires_grad_() for name, x in inputs.items()}


def by_recurrence(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Token by token."""
    B, C = (part.repeat_interleave(x.shape[2] // part.shape[2], 2) for part in (B, C))  # (B, L, h, N)
    state, outs = x.new_zeros(x.shape[0], *B.shape[2:], x.shape[3]), []
    for t in range(x.shape[1]):
        entry = (dt[:, t, :, None] * B[:, t])[..., None] * x[:, t, :, None]  # (B, h, N, d)
        state = (dt[:, t] * A).exp()[..., None, None] * state + entry
        outs.append((C[:, t, :, :, None] * state).sum(2))
    return torch.stack(outs, 1) + x * D[:, None]


def by_attention(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    B, C = (part.repeat_interleave(x.shape[2] // part.shape[2], 2) for part in (B, C))
    weights = torch.einsum('bthn,bshn,bsh->bhts', C, B, -dt * A)
    return torch.einsum('bhts,bshd->bthd', weights, x) + x * D[:, None]


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize(('causal', 'definition'), [(True, by_recurrence), (False, by_attention)])
def test_values_and_gradients_are_those_of_the_definition(shape, causal, definition):
    inputs = random_inputs(*shape)
    y, expected = state_space_duality(**inputs, causal=causal), definition(**inputs)
    torch.testing.assert_close(y, expected)
    weights = torch.randn_like(y)
    grads, goals = (torch.autograd.grad((out * weights).sum(), list(inputs.values())) for out in (y, expected))
    for name, grad, goal in zip(inputs, grads, goals, strict=True):
        torch.testing.assert_close(grad, goal, msg=lambda text, name=name: f'{name}: {text}')


@pytest.mark.parametrize('causal', [True, False])
def test_gradients_pass_gradcheck(causal):
    inputs = random_inputs(1, 5, 2, 2, 1, 2)
    function = lambda *values: state_space_duality(*values, causal=causal)  # noqa: E731
    assert torch.autograd.gradcheck(function, [*inputs.values()])


@pytest.mark.parametrize('causal', [True, False])
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 2e-5), (torch.bfloat16, 1e-2)])
def test_narrow_types_are_summed_in_float32_and_returned_as_they_came(dtype, tolerance, causal):
    inputs = {name: x.detach().to(dtype) for name, x in random_inputs(1, 150, 2, 4, 1, 4).items()}
    with torch.autocast('cpu', torch.bfloat16):
        y = state_space_duality(**inputs, causal=causal)
    assert y.dtype is dtype
    expected = state_space_duality(**{name: x.double() for name, x in inputs.items()}, causal=causal)
    scale = expected.abs().max().item()
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=tolerance * scale)


def test_steep_decays_do_not_overflow():
    inputs = {name: x.detach().float() for name, x in random_inputs(1, 130, 2, 2, 1, 2).items()}
    inputs['dt'] = inputs['dt'] * 1000
    assert torch.isfinite(state_space_duality(**inputs)).all()


def test_shapes_that_do_not_fit_are_refused_with_what_would():
    inputs = random_inputs(1, 5, 4, 2, 1, 2)
    with pytest.raises(ValueError, match='divisor of 4'):
        state_space_duality(**{**inputs, 'B': torch.zeros(1, 5, 3, 2), 'C': torch.zeros(1, 5, 3, 2)})
    with pytest.raises(ValueError, match='heads'):
        state_space_duality(**{**inputs, 'A': torch.zeros(3)})
