"""LayerNorm, which predicts narrow rows in bfloat16 in float32."""

import pytest
import torch
from torch import nn

from denseformer.layers import LayerNorm


def pair(channels: int, **options) -> tuple[LayerNorm, nn.LayerNorm]:
    """Ours and PyTorch's with the same random weights."""
    ours, theirs = LayerNorm(channels, **options), nn.LayerNorm(channels, **options)
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize('rows', [1, 3, 100])
def test_narrow_rows_in_bfloat16_are_those_of_float32_rounded_once(rows, monkeypatch):
    monkeypatch.setattr('denseformer.layers.norm.CHUNK', 60 * rows)
    ours, theirs = pair(60)
    x = torch.randn(2, 4, 5, 60).bfloat16().transpose(1, 2)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x.float()).bfloat16())


@pytest.mark.parametrize('channels', [32, 60, 180])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16])
def test_weights_of_any_type_and_rows_of_any_width_predict_what_torch_does(channels, dtype):
    ours, theirs = (norm.to(dtype) for norm in pair(channels))
    x = torch.randn(7, channels, dtype=dtype)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_a_norm_without_weights_predicts_what_torch_does():
    ours, theirs = pair(60, elementwise_affine=False)
    x = torch.randn(7, 60).bfloat16()
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_training_is_left_to_torch():
    ours, theirs = pair(60)
    inputs = [torch.randn(7, 60, generator=torch.manual_seed(0)).bfloat16().requires_grad_() for _ in range(2)]
    outs = ours(inputs[0]), theirs(inputs[1])
    for out in outs:
        out.float().square().sum().backward()
    assert torch.equal(*outs)
    assert torch.equal(*(x.grad for x in inputs))
