"""LSNet: kernels per pixel, a bias resized for the map, and its checkpoint layout."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.attention.small_kernel import small_kernel_aggregation
from denseformer.backbones import LSNet
from denseformer.backbones.light.lsnet import PairBias

THOUSANDS = {'tiny': 11028, 'small': 15700, 'base': 22803}
SMALL = {'widths': (16, 16, 16, 16), 'depths': (0, 2, 2, 2), 'heads': 2}


@pytest.mark.parametrize('arch', LSNet.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(LSNet.describe(arch).parameters / 1e3) == THOUSANDS[arch]


def test_aggregation_is_a_sum_over_neighbors_with_kernels_shared_in_turn():
    x, kernels = torch.randn(2, 6, 4, 5), torch.randn(2, 3, 9, 4, 5)
    neighbors = F.unfold(x, 3, padding=1).view(2, 6, 9, 4, 5)
    expected = torch.stack([(neighbors[:, c] * kernels[:, c % 3]).sum(1) for c in range(6)], 1)
    torch.testing.assert_close(small_kernel_aggregation(x, kernels), expected)


def test_the_bias_of_the_grids_own_size_is_left_as_it_is_and_others_follow_each_other():
    bias = PairBias(2).eval()
    torch.nn.init.normal_(bias.table)
    with torch.no_grad():
        torch.testing.assert_close(bias(196, torch.float32), bias.build())
        other = bias(12, torch.float32)
        assert other.shape == (2, 12, 12)
        bias(30, torch.float32)
        assert torch.equal(bias(12, torch.float32), other)


def test_an_empty_first_stage_returns_the_stem():
    network = LSNet(arch=SMALL).eval()
    image = torch.randn(1, 3, 64, 96)
    maps = network(image)
    assert torch.equal(maps[0], network.patch_embed(image))
    assert [tuple(m.shape[2:]) for m in maps] == [(8, 12), (4, 6), (2, 3), (1, 2)]


def test_an_imagenet_checkpoint_loads_and_its_classifiers_are_dropped():
    network = LSNet(arch=SMALL)
    checkpoint = {
        'patch_embed.4.bn.bias': torch.full((16,), 2.0),
        'blocks2.0.bn.bias': torch.full((16,), 3.0),
        'blocks2.1.bn.bias': torch.full((16,), 4.0),
        'blocks2.2.mixer.conv1.bn.bias': torch.full((16,), 5.0),
        'blocks2.2.se.fc2.weight': torch.full((16, 8, 1, 1), 6.0),
        'blocks2.3.mixer.lkp.cv4.bias': torch.full((18,), 7.0),
        'blocks2.3.mixer.bn.bias': torch.full((16,), 8.0),
        'blocks4.3.mixer.m.attention_biases': torch.ones(2, 16),
        'blocks4.3.mixer.m.attention_bias_idxs': torch.zeros(16, 16, dtype=torch.long),
        'blocks4.3.mixer.m.dw.bn.bias': torch.full((32,), 9.0),
        'head.l.weight': torch.ones(1000, 16),
        'head_dist.l.weight': torch.ones(1000, 16),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    second, last = network.stages[1], network.stages[3]
    assert (network.patch_embed[2].norm.bias == 2).all()
    assert (second.downsample[0].norm.bias == 3).all()
    assert (second.downsample[1].norm.bias == 4).all()
    assert (second.blocks[0].conv.small.norm.bias == 5).all()
    assert (second.blocks[0].se.fc2.weight == 6).all()
    assert (second.blocks[1].attn.kernels.conv4.bias == 7).all()
    assert (second.blocks[1].attn.norm.bias == 8).all()
    assert last.blocks[1].attn.bias.table.shape == (2, 196)
    assert (last.blocks[1].attn.query_conv.norm.bias == 9).all()
