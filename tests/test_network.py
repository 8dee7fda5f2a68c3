"""Descriptions of networks without their weights."""

import torch
from torch import nn

from denseformer.backbones import NAT, Swin
from denseformer.network import on_meta
from denseformer.restoration.networks import HAT, CATANet, DRSformer


def test_the_smallest_variant_has_the_fewest_parameters():
    assert (Swin.smallest(), NAT.smallest(), HAT.smallest()) == ('tiny', 'mini', 'small')


def test_a_shallow_variant_has_fewer_blocks_and_is_otherwise_the_same():
    assert Swin.truncated_arch() == vars(Swin.archs['tiny']) | {'depths': (2, 2, 2, 2)}
    assert (HAT.truncated_arch()['groups'], HAT.truncated_arch()['blocks']) == (1, 2)
    assert DRSformer.truncated_arch()['blocks'] == (2, 2, 2, 2)
    assert CATANet.truncated_arch() == vars(CATANet.archs['base'])  # its groups are of tokens


def test_what_has_shapes_alone_draws_no_random_numbers():
    state = torch.get_rng_state()
    with on_meta():
        layer = nn.Linear(3, 4)
        nn.init.trunc_normal_(layer.weight, std=0.02)
    assert layer.weight.is_meta
    assert layer.weight.shape == (4, 3)
    assert torch.equal(torch.get_rng_state(), state)
