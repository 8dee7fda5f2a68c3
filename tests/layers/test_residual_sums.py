"""Sums of a map and a branch, and which of them are written to the map."""

import pytest
import torch
from torch import nn

from denseformer.layers import PostNormBlock, PreNormBlock, accumulate_scaled, add_scaled

TYPES = [torch.float32, torch.bfloat16]


@pytest.mark.parametrize('gain', [None, *TYPES], ids=str)
@pytest.mark.parametrize('branch', TYPES, ids=str)
@pytest.mark.parametrize('x', TYPES, ids=str)
def test_both_sums_agree_in_value_and_type(x, branch, gain):
    a, b = torch.randn(2, 3).to(x), torch.randn(2, 3).to(branch)
    gamma = None if gain is None else torch.randn(3).to(gain)
    with torch.no_grad():
        expected = add_scaled(a, b, gamma)
        torch.testing.assert_close(accumulate_scaled(a, b, gamma), expected)


def test_the_map_is_written_to_where_it_holds_the_sum_and_no_gradient_is_recorded():
    x, branch = torch.zeros(2, 3), torch.ones(2, 3)
    assert accumulate_scaled(x, branch, None) is not x
    with torch.no_grad():
        assert accumulate_scaled(x, branch.bfloat16(), None) is x
        narrow = x.bfloat16()
        assert accumulate_scaled(narrow, branch, None) is not narrow
    assert torch.equal(x, branch)


@pytest.mark.parametrize('layer_scale', [None, 0.5])
@pytest.mark.parametrize('block', [PreNormBlock, PostNormBlock])
def test_a_block_predicts_what_it_trains_on_and_leaves_its_input_alone(block, layer_scale):
    network = block(4, nn.Linear(4, 4), nn.Linear(4, 4), drop_path=0.0, layer_scale=layer_scale)
    x = torch.randn(1, 2, 3, 4)
    before = x.clone()
    trained = network(x)
    with torch.no_grad():
        torch.testing.assert_close(network(x), trained.detach())
    assert torch.equal(x, before)
