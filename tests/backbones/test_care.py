"""CARE: linear attention by means, a last block without an end, and its checkpoint layout."""

import pytest
import torch

from denseformer.attention.linear import averaging_linear_attention
from denseformer.backbones import CARE

THOUSANDS = {'s0': 5286, 's1': 7548, 's2': 16401}
"""Thousands of parameters; the authors' networks have 7340, 9602 and 19481, without their two classifiers."""
SMALL = {
    **{'dims': (16, 16, 64, 128), 'depths': (1, 1, 1, 2), 'groups': (4, 4, 16, 32)},
    'ratios': ((2, 2), (2, 2), (2, 2), (2, 3)),
}


@pytest.mark.parametrize('arch', CARE.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(CARE.describe(arch).parameters / 1e3) == THOUSANDS[arch]


def test_linear_attention_is_a_weighted_mean_of_the_values():
    q, k, v = torch.rand(2, 3, 5, 4), torch.rand(2, 3, 7, 4), torch.randn(2, 3, 7, 4)
    weights = q @ k.mT
    expected = weights @ v / (weights.sum(-1, keepdim=True) + 7 * 1e-3)
    torch.testing.assert_close(averaging_linear_attention(q, k, v, eps=1e-3), expected)
    assert torch.equal(averaging_linear_attention(torch.zeros_like(q), k, v, eps=1e-6), torch.zeros(2, 3, 5, 4))


def test_the_last_map_is_the_last_blocks_hidden_one():
    assert CARE.describe('s0').channels == (32, 64, 128, 1024)
    network = CARE(arch=SMALL).eval()
    blocks = network.stages[3].blocks
    assert blocks[0].gamma is not None
    assert blocks[1].gamma is None
    maps = network(torch.randn(1, 3, 70, 97))
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 17, 24), (16, 8, 12), (64, 4, 6), (384, 2, 3)]


def test_a_checkpoint_loads_and_its_classifiers_are_dropped():
    network = CARE(arch=SMALL)
    checkpoint = {
        'stem.1.bias': torch.full((16,), 2.0),
        'stages.0.blocks.0.gamma': torch.full((16,), 3.0),
        'stages.0.blocks.0.token_mixer.dwconvatt_2.bias': torch.full((4,), 4.0),
        'stages.1.downsample.1.bias': torch.full((16,), 5.0),
        'stages.2.blocks.0.token_mixer.qk.bias': torch.full((32,), 6.0),
        'stages.3.blocks.1.inter_layer.inter2_conv.bias': torch.full((384,), 7.0),
        'head.fc.weight': torch.ones(1000, 384),
        'dist_head.norm.weight': torch.ones(384),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed.norm.bias == 2).all()
    assert (network.stages[0].blocks[0].gamma == 3).all()
    assert (network.stages[0].blocks[0].attn.attn.row.bias == 4).all()
    assert (network.stages[1].downsample.reduction.bias == 5).all()
    assert (network.stages[2].blocks[0].attn.attn.qk.bias == 6).all()
    assert (network.stages[3].blocks[1].inter2.conv.bias == 7).all()
