"""Attention in shifted windows, gathered, against rolling the map and masking."""

import pytest
import torch

from denseformer.attention.shifted import gather_windows, plan_windows, planned_attention, scatter_windows
from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import shift_mask, window_partition, window_reverse


def by_definition(qkv: torch.Tensor, heads: int, bias: torch.Tensor, window, shift) -> torch.Tensor:
    B, H, W, C = qkv.shape
    windows = window_partition(qkv.roll((-shift[0], -shift[1]), (1, 2)), window)  # (B, n, N, 3C)
    q, k, v = windows.unflatten(3, (3, heads, -1)).permute(3, 0, 1, 4, 2, 5)  # (B, n, h, N, d)
    logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias
    if any(shift):
        logits = logits + shift_mask((H, W), window, shift, qkv.device, qkv.dtype)
    out = (logits.softmax(-1) @ v).transpose(2, 3).reshape(B, -1, windows.shape[2], C // 3)
    return window_reverse(out, window, (H, W)).roll(shift, (1, 2))


@pytest.mark.parametrize('gradient', [False, True])
@pytest.mark.parametrize('size', [(8, 12), (4, 4), (4, 16), (12, 4)])
@pytest.mark.parametrize(('window', 'shift'), [((4, 4), (0, 0)), ((4, 4), (2, 2)), ((2, 4), (1, 2)), ((4, 2), (2, 1))])
def test_equals_rolling_and_masking(size, window, shift, gradient):
    tokens = window[0] * window[1]
    qkv, bias = torch.randn(2, *size, 18), torch.randn(3, tokens, tokens)
    plan = plan_windows(2, size, window, shift, qkv.device)
    with torch.set_grad_enabled(gradient):
        out = planned_attention(gather_windows(qkv, plan, tokens), 3, bias, plan)
        torch.testing.assert_close(scatter_windows(out, plan, 2, size), by_definition(qkv, 3, bias, window, shift))


@pytest.mark.parametrize('rows', [1, 5])
def test_predictions_in_bfloat16_equal_the_fused_kernel(rows, monkeypatch):
    monkeypatch.setattr('denseformer.kernels.attention.SCORE_BYTES', 2 * 3 * 8 * 6 * 2)
    shapes = (5, 3, 8, 4), (5, 3, 6, 4), (5, 3, 6, 7), (rows, 3, 8, 6)
    q, k, v, bias = (torch.randn(shape).bfloat16() for shape in shapes)
    expected = torch.nn.functional.scaled_dot_product_attention(*(x.float() for x in (q, k, v)), bias.float())
    with torch.no_grad():
        out = window_softmax_attention(q, k, v, bias)
    torch.testing.assert_close(out.float(), expected.transpose(1, 2).flatten(2), rtol=0.02, atol=0.02)


@pytest.mark.parametrize(('factor', 'offset'), [(60.0, 0.0), (1.0, 150.0), (1.0, -150.0)])
def test_predictions_in_bfloat16_stand_exponentials_that_overflow_or_vanish(factor, offset):
    q, k, v = torch.randn(3, 4, 2, 8, 16).bfloat16()
    bias = torch.zeros(1, 2, 8, 8, dtype=torch.bfloat16)
    q[0, 0], bias[0, 1, 3] = q[0, 0] * factor, offset  # one row of all
    expected = torch.nn.functional.scaled_dot_product_attention(*(x.float() for x in (q, k, v)), bias.float())
    with torch.no_grad():
        out = window_softmax_attention(q, k, v, bias)
    torch.testing.assert_close(out.float(), expected.transpose(1, 2).flatten(2), rtol=0.02, atol=0.02)


def test_plans_are_shared():
    first = plan_windows(1, (8, 8), (4, 4), (2, 2), torch.device('cpu'))
    assert plan_windows(1, (8, 8), (4, 4), (2, 2), torch.device('cpu')) is first
