"""Products of half precision on CPUs without arithmetic for it: computed in float32, and rounded once."""

from threading import Thread

import pytest
import torch
from gradients import assert_same_gradients
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from denseformer.attention.softmax import window_softmax_attention
from denseformer.kernels import attention, linear, mlp, products
from denseformer.layers import Linear, Mlp


@pytest.fixture(autouse=True)
def without_bfloat16(monkeypatch):
    monkeypatch.setattr(products, 'HAS_BFLOAT16', False)
    monkeypatch.setattr(linear, 'ONEDNN_DTYPES', set())
    monkeypatch.setattr(mlp, 'CONVERTED_ROWS', 4)
    monkeypatch.setattr(mlp, 'CONVERTED_CHANNELS', 8)
    for module in (linear, products):
        monkeypatch.setattr(module, 'CHUNK', 40)


def rounded(x):
    return x.detach().bfloat16().float()


@pytest.mark.parametrize('shape', [(7,), (11, 7), (2, 3, 7), (0, 7)])
@pytest.mark.parametrize('bias', [True, False])
def test_a_linear_layer_rounds_its_result_alone(shape, bias):
    layer, x = Linear(7, 9, bias=bias), torch.randn(shape)
    parameters = rounded(layer.weight), rounded(layer.bias) if bias else None
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        found = layer(x)
    assert torch.equal(found, nn.functional.linear(rounded(x), *parameters).bfloat16())


@pytest.mark.parametrize('inside', [True, False], ids=['backward under autocast', 'backward outside'])
def test_gradients_are_products_in_float32(inside):
    layer, x = Linear(7, 9), torch.randn(11, 7, requires_grad=True)
    grad = torch.randn(11, 9).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        out = layer(x)
        if inside:
            out.backward(grad)
    if not inside:
        out.backward(grad)
    assert torch.equal(x.grad, (grad.float() @ rounded(layer.weight)).bfloat16().float())
    assert torch.equal(layer.weight.grad, (grad.float().T @ rounded(x)).bfloat16().float())


def test_an_mlp_trains_as_its_layers_do():
    layer, x = Mlp(6, 20), torch.randn(2, 5, 6)

    def step_by_step(x):
        hidden = nn.functional.linear(x, layer.fc1.weight, layer.fc1.bias)
        return nn.functional.linear(layer.act(hidden), layer.fc2.weight, layer.fc2.bias)

    assert_same_gradients(layer, step_by_step, x, layer, frozen='nothing', dtype=torch.bfloat16)


def test_a_predicted_mlp_rounds_its_result_alone():
    layer, x = Mlp(6, 20), torch.randn(2, 5, 6)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        found = layer(x)
    for parameter in layer.parameters():
        parameter.data = rounded(parameter)
    torch.testing.assert_close(found, layer(rounded(x)).bfloat16(), rtol=2**-7, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize('heads', [1, 2], ids=['bias of all heads', 'bias of each head'])
@pytest.mark.parametrize('learned', [True, False])
def test_attention_is_nearer_to_float32_than_its_inputs_are_rounded(learned, heads, dtype):
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 2, 10, 8, requires_grad=True) for _ in range(3))
    bias = torch.randn(heads, 10, 10).bfloat16().float().requires_grad_(learned)
    inputs, found, expected = (q, k, v, bias) if learned else (q, k, v), [], []
    for places, used in ((found, dtype), (expected, torch.float32)):
        with torch.autocast('cpu', dtype, enabled=used is dtype):
            out = window_softmax_attention(*(x.to(dtype).to(used) for x in (q, k, v)), bias)
            places += [out.float(), *torch.autograd.grad(out.float().square().sum(), inputs)]
    for ours, exact in zip(found, expected, strict=True):
        assert (ours - exact).abs().max() < 2**-7 * exact.abs().max()


def test_gradients_of_attention_can_be_differentiated():
    torch.manual_seed(0)
    x = torch.randn(3, 3, 2, 10, 8).bfloat16().float().requires_grad_()

    def penalty_gradient(dtype):
        out = window_softmax_attention(*x.to(dtype).unbind(0))
        (first,) = torch.autograd.grad(out.float().square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    with sdpa_kernel(SDPBackend.MATH):
        expected = penalty_gradient(torch.float32)
    assert (penalty_gradient(torch.bfloat16) - expected).abs().max() < 2**-5 * expected.abs().max()


def test_autocast_of_one_thread_does_not_reach_another():
    layer, x = Linear(7, 9), torch.randn(400, 7)
    found = []

    def predict(dtype):
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=dtype is torch.bfloat16):
            for _ in range(50):
                linear.product(x.bfloat16(), layer.weight, None)
            found.append((torch.is_autocast_enabled('cpu'), dtype is torch.bfloat16))

    threads = [Thread(target=predict, args=(dtype,)) for dtype in (torch.bfloat16, torch.float32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert all(is_on == wanted for is_on, wanted in found)


@pytest.mark.parametrize('odd', ['k', 'v'])
def test_attention_takes_queries_in_another_precision_than_keys_or_values(odd, monkeypatch):
    monkeypatch.setattr(products, 'HAS_BFLOAT16', True)
    maps = {name: torch.randn(2, 1, 5, 8).bfloat16() for name in 'qkv'}
    maps[odd] = maps[odd].float()
    out = attention.chunked_attention(*maps.values(), 0.5, [2], [None])
    expected = nn.functional.scaled_dot_product_attention(*(x.float() for x in maps.values()), scale=0.5)
    torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.05)
