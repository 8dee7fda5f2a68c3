"""VSSD: a mixer that no order of tokens changes, and the authors' keys."""

import pytest
import torch

from denseformer.backbones import VSSD
from denseformer.backbones.state_space.vssd import DualityMixer
from denseformer.layers.self_attention import GlobalAttention

MILLIONS = {'micro': 13.129, 'tiny': 23.759, 'small': 39.564, 'base': 88.055}
SMALL = {'width': 8, 'depths': (1, 1, 1, 1), 'heads': (1, 2, 2, 4), 'states': 6}


@pytest.mark.parametrize('arch', VSSD.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(VSSD.describe(arch).parameters / 1e6, 3) == MILLIONS[arch]


def test_what_a_token_reads_does_not_depend_on_where_the_others_are():
    mixer = DualityMixer(8, heads=2, states=4).eval()
    torch.nn.init.zeros_(mixer.conv.weight)
    mixer.conv.weight.data[:, 0, 1, 1] = 1  # so that nothing but the common state mixes tokens
    x = torch.randn(2, 6, 5, 8)
    order = torch.randperm(30)
    shuffled = x.flatten(1, 2)[:, order].view_as(x)
    with torch.no_grad():
        torch.testing.assert_close(mixer(shuffled), mixer(x).flatten(1, 2)[:, order].view_as(x))


def test_softmax_attention_is_left_to_the_last_stage():
    kinds = [type(stage.blocks[0].attn) for stage in VSSD(arch=SMALL).stages]
    assert kinds == [DualityMixer] * 3 + [GlobalAttention]


def test_an_imagenet_checkpoint_loads_without_its_classifier():
    network = VSSD(arch=SMALL)
    checkpoint = {
        'patch_embed.conv2.0.norm.bias': torch.full((4,), 2.0),
        'layers.0.downsample.conv.1.conv.bias': torch.full((64,), 3.0),
        'layers.1.blocks.0.cpe2.bias': torch.full((16,), 4.0),
        'layers.3.blocks.0.attn.to_out.bias': torch.full((64,), 5.0),
        'norm.weight': torch.ones(64),
        'head.weight': torch.ones(1000, 64),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed.conv2[0].norm.bias == 2).all()
    assert (network.stages[1].downsample.depthwise.bias == 3).all()
    assert (network.stages[1].blocks[0].pos_embed2.bias == 4).all()
    assert (network.stages[3].blocks[0].attn.proj.bias == 5).all()
