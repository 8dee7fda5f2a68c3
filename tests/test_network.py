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


class Part(nn.Linear):
    """A layer that draws ones, and counts how often it was asked to."""

    draws = 0

    def init_weights(self):
        self.draws += 1
        nn.init.ones_(self.weight)


def test_a_network_is_initialized_before_its_parts_and_once():
    network = Swin(
        arch=dict(width=16, depths=(1, 1), heads=(1, 2)),
        out_indices=(0, 1),
        init_cfg=dict(type='Constant', layer=['Linear', 'Part'], val=0.5),
    )
    network.part = Part(2, 2)
    network.init_weights()
    network.init_weights()
    assert network.is_init
    assert network.part.draws == 1
    assert network.part.weight.tolist() == [[1, 1], [1, 1]]
    assert network.stages[0].blocks[0].mlp.fc1.weight.unique().tolist() == [0.5]
