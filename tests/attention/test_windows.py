import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.shifted import gather_windows, plan_windows, scatter_windows
from denseformer.attention.softmax import segmented_attention, window_softmax_attention
from denseformer.attention.windows import (
    position_bias,
    resize_position_table,
    shift_mask,
    window_attention,
    window_partition,
    window_reverse,
)
from denseformer.kernels import attention as chunked
from denseformer.layers import ShiftedWindowAttention

CPU = torch.device('cpu')


def test_windows_put_together_again_are_the_map():
    x = torch.randn(2, 6, 12, 5)
    windows = window_partition(x, (3, 4))
    assert torch.equal(windows[1, 4].view(3, 4, 5), x[1, 3:6, 4:8])
    assert torch.equal(window_reverse(windows, (3, 4), (6, 12)), x)


@pytest.mark.parametrize('shape', [None, (2, 9, 9), (6, 1, 9, 9), (6, 2, 9, 9)])
@pytest.mark.parametrize('training', [False, True])
def test_windowed_attention_is_softmax_attention_in_each_window(shape, training):
    qkv = torch.randn(2, 6, 9, 24)
    bias = None if shape is None else torch.randn(shape)
    with torch.set_grad_enabled(training):
        out = window_attention(qkv, 2, bias)
    q, k, v = qkv.view(2, 6, 9, 3, 2, 4).permute(3, 0, 1, 4, 2, 5)
    logits = q @ k.mT / 2
    expected = (logits if bias is None else logits + bias).softmax(-1) @ v
    torch.testing.assert_close(out, expected.transpose(2, 3).reshape(2, 6, 9, 8))


@pytest.mark.parametrize('shape', [(1, 1, 4, 6), (1, 2, 4, 6), (5, 1, 4, 6), (5, 2, 1, 6), (2, 4, 6), (4, 6)])
@pytest.mark.parametrize('at_a_time', [5 * 2 * 4, 2 * 2 * 4, 2 * 4, 4, 3, 1], ids='{} rows'.format)
def test_gradients_of_attention_in_windows_are_those_of_its_definition(shape, at_a_time, monkeypatch):
    monkeypatch.setattr(chunked, 'SCORE_BYTES', at_a_time * 6 * 8)
    monkeypatch.setattr(chunked, 'LEAST_QUERIES', 1)
    q, k, v = (torch.randn(5, 2, *sides, dtype=torch.float64, requires_grad=True) for sides in ((4, 3), (6, 3), (6, 5)))
    bias = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    out = window_softmax_attention(q, k, v, bias, 0.7)
    expected = ((0.7 * q @ k.mT + bias).softmax(-1) @ v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(out, expected)
    inputs, weights = (q, k, v, bias), torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad(out, inputs, weights), torch.autograd.grad(expected, inputs, weights)
    )


def test_gradients_in_bfloat16_of_many_queries_one_by_one_are_summed_without_rounding(monkeypatch):
    monkeypatch.setattr(chunked, 'SCORE_BYTES', 1)
    monkeypatch.setattr(chunked, 'LEAST_QUERIES', 1)
    q, k, v = (torch.randn(1, 2, tokens, 4).bfloat16().requires_grad_() for tokens in (400, 3, 3))
    exact = [x.detach().float().requires_grad_() for x in (q, k, v)]
    grad = torch.rand(1, 2, 400, 4).bfloat16()
    out, expected = (chunked.chunked_attention(*maps, 0.5, [1], [None]) for maps in ((q, k, v), exact))
    found = torch.autograd.grad(out, (q, k, v), grad)
    for gradient, wanted in zip(found, torch.autograd.grad(expected, exact, grad.float()), strict=True):
        assert (gradient.float() - wanted).norm() < 0.01 * wanted.norm()


def test_gradients_of_attention_in_windows_can_be_differentiated_again():
    q, k, v = torch.randn(3, 3, 2, 4, 5, dtype=torch.float64)
    bias = torch.randn(1, 2, 4, 4, dtype=torch.float64)

    def run(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        return segmented_attention(q, k, v, [2, 1], [bias, None])

    assert torch.autograd.gradgradcheck(run, [x.requires_grad_() for x in (q, k, v, bias)], fast_mode=True)


@pytest.mark.parametrize(('side', 'probabilities'), [(7, 1), (12, 0)], ids=['small', 'large'])
def test_attention_in_windows_keeps_probabilities_only_where_they_take_less_room_than_its_inputs(side, probabilities):
    tokens = side * side
    qkv = torch.randn(1, 6, tokens, 3 * 64, requires_grad=True)
    bias = torch.randn(2, tokens, tokens, requires_grad=True)
    inputs, kept = {x.untyped_storage().data_ptr() for x in (qkv, bias)}, []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        window_attention(qkv, 2, bias)
    others = [x.shape for x in kept if x.untyped_storage().data_ptr() not in inputs]
    assert others == [torch.Size([6, 2, tokens, tokens])] * probabilities


@pytest.mark.parametrize('size', [(4, 4), (8, 4), (8, 12)])
@pytest.mark.parametrize('shift', [(2, 2), (1, 3), (0, 2), (0, 0)])
def test_shifted_windows_hide_what_the_shift_made_neighbors(size, shift):
    mask = shift_mask(size, (4, 4), shift, CPU, torch.float32)
    position = torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1])).view(1, *size, 2).float()
    position = window_partition(position.roll((-shift[0], -shift[1]), (1, 2)), (4, 4))[0]  # (n, N, 2)
    place = torch.cartesian_prod(torch.arange(4), torch.arange(4))  # in the window
    as_before = ((position[:, :, None] - position[:, None]) == (place[:, None] - place)).all(-1)
    assert torch.equal(mask[:, 0] == 0, as_before)


@pytest.mark.parametrize('shift', [(0, 0), (3, 3)])
def test_gathering_windows_pads_and_scattering_them_crops(shift):
    x = torch.randn(2, 9, 16, 3)
    plan = plan_windows(2, (9, 16), (7, 7), shift, CPU)
    windows = gather_windows(x, plan, 49)
    assert windows.shape == (2 * 2 * 3, 49, 3)
    assert (windows == 0).all(-1).sum() == 2 * (14 * 21 - 9 * 16)
    assert torch.equal(scatter_windows(windows, plan, 2, (9, 16)), x)


@pytest.mark.parametrize('size', [(14, 21), (9, 16), (5, 7)])
@pytest.mark.parametrize('shift', [0, 3])
@pytest.mark.parametrize('training', [False, True])
def test_shifted_window_attention_pads_rolls_and_masks(size, shift, training):
    attn = ShiftedWindowAttention(12, 3, window=7, shift=shift)
    x = torch.randn(2, *size, 12)
    with torch.set_grad_enabled(training):
        out = attn(x)
    padded = F.pad(x, (0, 0, 0, -size[1] % 7, 0, -size[0] % 7))
    full = (padded.shape[1], padded.shape[2])
    windows = window_partition(padded.roll((-shift, -shift), (1, 2)), (7, 7))
    bias = position_bias(attn.bias.table, (7, 7)) + shift_mask(full, (7, 7), (shift, shift), CPU, torch.float32)
    windows = attn.proj(window_attention(attn.qkv(windows), 3, bias))
    expected = window_reverse(windows, (7, 7), full).roll((shift, shift), (1, 2))[:, : size[0], : size[1]]
    torch.testing.assert_close(out, expected)


def test_half_precision_weights_take_shifted_windows():
    attn = ShiftedWindowAttention(16, 2, window=9, shift=4).bfloat16()
    assert attn(torch.randn(1, 20, 20, 16, dtype=torch.bfloat16)).isfinite().all()


def test_what_inference_mode_prepared_serves_training():
    attn = ShiftedWindowAttention(8, 2, window=5, shift=2)
    with torch.inference_mode():
        attn(torch.randn(1, 11, 13, 8))
    attn(torch.randn(1, 11, 13, 8)).sum().backward()
    assert attn.bias.table.grad.isfinite().all()


def test_position_bias_depends_on_the_offset_of_query_from_key():
    table = torch.arange(15.0)[:, None]  # 3 x 5 offsets of a window of 2 x 3
    bias = position_bias(table, (2, 3))[0]
    assert bias[0, 0] == 7  # the same token
    assert bias[0, 1] == 6  # the key one column to the right
    assert bias[3, 0] == 12  # the key one row above


def test_position_tables_are_resized_over_offsets():
    table = torch.linspace(-1, 1, 13).repeat(13)[:, None]
    resized = resize_position_table(table, 23**2).view(23, 23)
    torch.testing.assert_close(resized[0], resized[22])
    torch.testing.assert_close(resized[5], -resized[5].flip(0))
    assert resize_position_table(table, 13**2) is table
