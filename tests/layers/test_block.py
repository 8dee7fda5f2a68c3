"""Residual blocks of transformers."""

import pytest
import torch
from torch import nn

from denseformer.layers import PostNormBlock, PreNormBlock, apply_layer_scale, make_layer_scale


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


@pytest.mark.parametrize(('channel_first', 'shape'), [(False, (2, 3, 5, 4)), (True, (2, 4, 3, 5))])
def test_layer_scale_multiplies_each_channel(channel_first, shape):
    gamma = make_layer_scale(4, 0.5, channel_first=channel_first)
    x = torch.randn(shape)
    torch.testing.assert_close(apply_layer_scale(x, gamma), x * 0.5)
    assert make_layer_scale(4, None) is None
    assert apply_layer_scale(x, None) is x


def test_paths_are_dropped_for_whole_images():
    block = PreNormBlock(4, nn.Linear(4, 4), nn.Linear(4, 4), drop_path=0.5)
    x = torch.randn(40, 3, 5, 4)
    with torch.no_grad():
        changed = (block(x) != x).flatten(1)
    assert torch.equal(changed.any(1), changed.all(1))
    assert 0 < changed.any(1).sum() < 40
