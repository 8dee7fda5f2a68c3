"""VAN: its large kernel, and the layout it shares between dense and ImageNet checkpoints."""

import pytest
import torch

from denseformer.backbones import VAN
from denseformer.backbones.convolution.van import DilatedDepthwiseConv

MILLIONS = {'b0': 3.85, 'b1': 13.35, 'b2': 26.07, 'b3': 44.25, 'b4': 59.77, 'b5': 89.20, 'b6': 199.06}


@pytest.mark.parametrize('arch', VAN.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(VAN.describe(arch).parameters / 1e6, 2) == MILLIONS[arch]


@pytest.mark.parametrize('size', [(2, 1), (9, 12), (17, 22)])
def test_the_dilated_convolution_by_sub_maps_is_the_dilated_convolution(size):
    conv = DilatedDepthwiseConv(6, 7, dilation=3)
    x = torch.randn(2, 6, *size)
    expected = torch.nn.Conv2d.forward(conv, x)
    torch.testing.assert_close(conv(x), expected)


def test_the_normalised_map_feeds_the_next_stage():
    network = VAN(arch={'widths': (8, 16, 24, 32), 'depths': (1, 1, 1, 1)}).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image)[1]
        network.out_norms[0].weight.mul_(torch.linspace(0, 2, 8))
        after = network(image)[1]
    assert not torch.allclose(before, after)


def test_the_classifier_of_an_imagenet_checkpoint_is_dropped():
    network = VAN(arch={'widths': (8, 16, 24, 32), 'depths': (1, 1, 1, 1)})
    checkpoint = {
        'patch_embed1.proj.bias': torch.full((8,), 2.0),
        'patch_embed4.norm.running_mean': torch.full((32,), 3.0),
        'block2.0.layer_scale_1': torch.full((16,), 4.0),
        'block2.0.mlp.dwconv.dwconv.bias': torch.full((128,), 5.0),
        'norm4.weight': torch.full((32,), 6.0),
        'head.weight': torch.ones(1000, 32),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed.proj.bias == 2).all()
    assert (network.stages[3].downsample.norm.running_mean == 3).all()
    assert (network.stages[1].blocks[0].gamma1 == 4).all()
    assert (network.stages[1].blocks[0].mlp.dwconv.bias == 5).all()
    assert (network.out_norms[3].weight == 6).all()
