"""The selective scan agrees with its definition however the sequence is cut, and does not grow with its length."""

import pytest
import torch
from torch import Tensor

from denseformer.attention import selective_scan as module
from denseformer.attention.selective_scan import selective_scan

SHAPES = [(1, 1, 2, 1, 1), (2, 7, 6, 2, 3), (2, 33, 4, 1, 1), (1, 130, 3, 3, 2), (2, 65, 4, 2, 4)]
CUTS = {'one segment, chunks': (1 << 18, 1 << 13), 'short segments': (200, 1), 'segments of chunks': (1 << 10, 1 << 7)}
NAMES = ('u', 'delta', 'A', 'B', 'C', 'D', 'delta_bias')


def by_definition(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor) -> Tensor:
    """Token by token."""
    B, C = (x.repeat_interleave(u.shape[2] // x.shape[2], 2) for x in (B, C))  # (B, L, D, N)
    dt = torch.nn.functional.softplus(delta + delta_bias)
    state, outs = u.new_zeros(u.shape[0], *A.shape), []
    for t in range(u.shape[1]):
        state = (dt[:, t, :, None] * A).exp() * state + (dt[:, t] * u[:, t])[..., None] * B[:, t]
        outs.append((state * C[:, t]).sum(-1))
    return torch.stack(outs, 1) + u * D


def random_inputs(batch: int, length: int, channels: int, groups: int, states: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    sequence, shared = (batch, length, channels), (batch, length, groups, states)
    shapes = (sequence, sequence, (channels, states), shared, shared, (channels,), (channels,))
    inputs = {name: torch.randn(shape, dtype=torch.float64) for name, shape in zip(NAMES, shapes, strict=True)}
    inputs['A'] = -3 * inputs['A'].abs()
    return {name: x.requires_grad_() for name, x in inputs.items()}


@pytest.mark.parametrize('cut', CUTS.values(), ids=CUTS)
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_values_and_gradients_are_those_of_the_definition_however_the_sequence_is_cut(monkeypatch, shape, cut):
    monkeypatch.setitem(module.SEGMENT_NUMBERS, 'cpu', cut[0])
    monkeypatch.setitem(module.STEP_NUMBERS, 'cpu', cut[1])
    inputs = random_inputs(*shape)
    y, expected = selective_scan(**inputs), by_definition(**inputs)
    torch.testing.assert_close(y, expected)
    weights = torch.randn_like(y)
    grads, goals = (torch.autograd.grad((out * weights).sum(), list(inputs.values())) for out in (y, expected))
    for name, grad, goal in zip(NAMES, grads, goals, strict=True):
        torch.testing.assert_close(grad, goal, msg=lambda text, name=name: f'{name}: {text}')


def test_gradients_pass_gradcheck():
    inputs = random_inputs(1, 9, 4, 2, 2)
    assert torch.autograd.gradcheck(
        lambda *values: selective_scan(**dict(zip(NAMES, values, strict=True))), [*inputs.values()]
    )


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_narrow_types_are_scanned_in_float32_and_returned_as_they_came(dtype):
    inputs = {name: x.detach().to(dtype) for name, x in random_inputs(1, 257, 8, 1, 4).items()}
    y = selective_scan(**inputs)
    assert y.dtype is dtype
    expected = by_definition(**{name: x.double() for name, x in inputs.items()})
    torch.testing.assert_close(y.double(), expected, rtol=4 * torch.finfo(dtype).eps, atol=1e-4)


def test_long_decays_neither_overflow_nor_lose_the_gradient():
    inputs = {name: x.detach().float() for name, x in random_inputs(1, 300, 4, 1, 2).items()}
    inputs['delta'] = inputs['delta'] * 100
    inputs = {name: x.requires_grad_() for name, x in inputs.items()}
    y = selective_scan(**inputs)
    grads = torch.autograd.grad(y.sum(), list(inputs.values()))
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_what_is_kept_for_the_gradient_grows_with_the_tokens_alone():
    def kept_per_token(length: int) -> float:
        sizes: list[int] = []
        inputs = {name: x.detach().float().requires_grad_() for name, x in random_inputs(1, length, 64, 1, 16).items()}
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
            selective_scan(**inputs)
        return sum(sizes) / length

    assert kept_per_token(4096) == pytest.approx(kept_per_token(1024), rel=0.05)
    assert kept_per_token(4096) < 64 * 16  # the states themselves are not kept


def test_it_is_one_operator_to_the_compiler():
    inputs = {name: x.detach() for name, x in random_inputs(1, 20, 4, 2, 2).items()}
    compiled = torch.compile(lambda: selective_scan(**inputs), backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(), selective_scan(**inputs))
    torch.library.opcheck(module.scan, [inputs[name] for name in NAMES[:5]])


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_the_scan_of_exported_graphs_is_the_same(shape):
    u, dt, *others = (x.detach() for x in list(random_inputs(*shape).values())[:5])
    dt = dt.abs()
    torch.testing.assert_close(module.doubling_scan(u, dt, *others)[0], module.scan(u, dt, *others)[0])


def test_shapes_that_do_not_fit_are_refused_with_what_would():
    inputs = random_inputs(1, 5, 4, 1, 2)
    with pytest.raises(ValueError, match='divisor of 4'):
        selective_scan(**{**inputs, 'B': torch.zeros(1, 5, 3, 2), 'C': torch.zeros(1, 5, 3, 2)})
    with pytest.raises(ValueError, match='one shape'):
        selective_scan(**{**inputs, 'delta': torch.zeros(1, 5, 1)})
