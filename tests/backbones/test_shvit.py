"""SHViT: channels that pass the attention by, three maps, and its checkpoint layout."""

import pytest
import torch

from denseformer.backbones import SHViT
from denseformer.backbones.light.shvit import SingleHeadAttention

THOUSANDS = {'s1': 6009, 's2': 11033, 's3': 13795, 's4': 16139}
SMALL = {'widths': (16, 24, 32), 'depths': (1, 1, 1), 'partial': (None, 8, 8)}


@pytest.mark.parametrize('arch', SHViT.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(SHViT.describe(arch).parameters / 1e3) == THOUSANDS[arch]


def test_describes_three_maps_that_sides_are_rounded_up_to():
    about = SHViT.describe('s4')
    assert (about.channels, about.strides) == ((224, 336, 448), (16, 32, 64))
    maps = SHViT(arch=SMALL).eval()(torch.randn(1, 3, 65, 130))
    assert [tuple(m.shape[2:]) for m in maps] == [(5, 9), (3, 5), (2, 3)]


def test_only_the_first_channels_see_other_positions():
    attention = SingleHeadAttention(6, 2).eval()
    torch.nn.init.ones_(attention.proj.norm.weight)
    torch.nn.init.constant_(attention.qkv.norm.bias, 5.0)  # values stay positive, whatever is attended to
    x = torch.rand(1, 6, 4, 5)
    changed = x.clone()
    changed[:, 2:, 0, 0] += 1
    differs = (attention(x) != attention(changed)).any(1)[0]
    assert differs[0, 0]
    assert differs.sum() == 1
    changed[:, :2, 0, 0] += 1
    assert (attention(x) != attention(changed)).any(1).all()


def test_a_block_starts_as_the_identity():
    network = SHViT(arch=SMALL).eval()
    x = torch.randn(1, 24, 4, 5)
    assert torch.equal(network.stages[1].blocks[0](x), x)


def test_an_imagenet_checkpoint_loads_and_its_classifier_is_dropped():
    network = SHViT(arch=SMALL)
    checkpoint = {
        'patch_embed.6.bn.bias': torch.full((16,), 2.0),
        'blocks1.0.ffn.m.pw1.c.weight': torch.full((32, 16), 3.0),  # of a linear layer, as in released files
        'blocks2.0.0.m.c.weight': torch.full((16, 1, 3, 3), 4.0),
        'blocks2.0.1.m.pw2.bn.bias': torch.full((16,), 5.0),
        'blocks2.1.se.fc1.weight': torch.full((16, 64, 1, 1), 6.0),
        'blocks2.2.0.m.bn.bias': torch.full((24,), 7.0),
        'blocks3.3.mixer.m.pre_norm.bias': torch.full((8,), 8.0),
        'blocks3.3.mixer.m.proj.1.bn.bias': torch.full((32,), 9.0),
        'head.l.weight': torch.ones(1000, 32),
        'head_dist.bn.weight': torch.ones(32),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    second, third = network.stages[1], network.stages[2]
    assert (network.patch_embed[3].norm.bias == 2).all()
    assert (network.stages[0].blocks[0].mlp.fc1.conv.weight == 3).all()
    assert (second.downsample.before.conv.conv.weight == 4).all()
    assert (second.downsample.before.mlp.fc2.norm.bias == 5).all()
    assert (second.downsample.reduction.se.fc1.weight == 6).all()
    assert (second.downsample.after.conv.norm.bias == 7).all()
    assert (third.blocks[0].attn.norm.bias == 8).all()
    assert (third.blocks[0].attn.proj.norm.bias == 9).all()
