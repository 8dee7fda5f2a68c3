"""LWGANet: sheared maps, maxima that go back to their places, and any size of image."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.backbones import LWGANet
from denseformer.backbones.light.lwganet import blur_pool, shear, unpool, unshear

THOUSANDS = {'l0': 1333, 'l1': 5196, 'l2': 12003}


@pytest.mark.parametrize('arch', LWGANet.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(LWGANet.describe(arch).parameters / 1e3) == THOUSANDS[arch]


@pytest.mark.parametrize('size', [(3, 3), (2, 5), (4, 1), (1, 3)])
def test_each_row_of_a_sheared_map_starts_one_position_later(size):
    x = torch.rand(1, 2, *size) + 1
    sheared = shear(x)
    assert sheared.shape == (1, 2, size[0], sum(size) - 1)
    for i in range(size[0]):
        row = torch.zeros(1, 2, sum(size) - 1)
        row[..., i : i + size[1]] = x[:, :, i]
        assert torch.equal(sheared[:, :, i], row)
    assert torch.equal(unshear(sheared, size[1]), x)


def test_maxima_go_back_to_where_they_came_from():
    x = torch.randn(2, 3, 6, 8)
    pooled, places = F.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(unpool(pooled, places, x.shape[2:]), F.max_unpool2d(pooled, places, 2))
    odd = torch.randn(1, 1, 5, 7)
    pooled, places = F.max_pool2d(odd, 2, return_indices=True)
    back = unpool(pooled, places, odd.shape[2:])
    assert back.shape == odd.shape
    assert (back[back != 0] == odd[back != 0]).all()
    assert back.count_nonzero() == 6


def test_blurring_keeps_a_constant_and_reflects_at_the_border():
    torch.testing.assert_close(blur_pool(torch.full((1, 2, 7, 1), 3.0)), torch.full((1, 2, 3, 1), 3.0))
    x = torch.randn(1, 1, 6, 9)
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    expected = F.conv2d(F.pad(x, (1, 2, 1, 2), mode='reflect'), (row[:, None] * row)[None, None], stride=3)
    torch.testing.assert_close(blur_pool(x), expected)


def test_the_largest_variant_has_another_activation():
    def activations(arch: str) -> set[str]:
        return {
            type(m).__name__ for m in LWGANet.on_meta_device(arch=arch).modules() if type(m).__name__.endswith('LU')
        }

    assert activations('l1') == {'GELU'}
    assert activations('l2') == {'ReLU'}


def test_a_checkpoint_numbers_stages_and_downsamplings_in_one_list():
    network = LWGANet(arch={'width': 16, 'depths': (1, 1, 1, 1)})
    checkpoint = {
        'Stem.norm.bias': torch.full((16,), 2.0),
        'stages.0.blocks.0.PA.p_conv.3.weight': torch.full((4, 16, 1, 1), 3.0),
        'stages.0.blocks.0.norm1.bias': torch.full((16,), 4.0),
        'stages.1.conv_c.bias': torch.full((32,), 5.0),
        'stages.2.blocks.0.norm.bias': torch.full((8,), 6.0),
        'stages.2.blocks.0.GA12.conv_squeeze.bias': torch.full((2,), 7.0),
        'stages.4.blocks.0.GA3.norm.bias': torch.full((16,), 8.0),
        'stages.6.blocks.0.MRA.V_att2.weight': torch.full((32, 1, 3, 11), 9.0),
        'stages.6.blocks.0.MRA.max_m2.filt': torch.ones(32, 1, 4, 4),
        'norm6.bias': torch.full((128,), 10.0),
        'avgpool_pre_head.1.weight': torch.ones(1280, 128, 1, 1),
        'head.weight': torch.ones(1000, 1280),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    first, second, third, fourth = (stage.blocks[0] for stage in network.stages)
    assert (network.patch_embed.norm.bias == 2).all()
    assert (first.point.mlp.fc2.weight == 3).all()
    assert (first.norm2.bias == 4).all()
    assert (network.stages[1].downsample.conv.bias == 5).all()
    assert (second.whole_norm.bias == 6).all()
    assert (second.whole.select.bias == 7).all()
    assert (third.whole.norm.bias == 8).all()
    assert (fourth.strip.sheared_row.weight == 9).all()
    assert (network.out_norms[3].bias == 10).all()
