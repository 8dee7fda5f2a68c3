"""MambaOut: channels the convolution leaves alone, and the authors' keys."""

import pytest
import torch

from denseformer.backbones import MambaOut
from denseformer.backbones.convolution.mambaout import GatedConv

SMALL = {'widths': (8, 12, 16, 24), 'depths': (1, 2, 1, 1)}


def head(width: int, classes: int = 1000) -> int:
    """Parameters of the authors' classifier: LayerNorm, a layer 4 times as wide, LayerNorm, and the last layer."""
    hidden = 4 * width
    return 2 * width + (width + 1) * hidden + 2 * hidden + (hidden + 1) * classes


@pytest.mark.parametrize(
    ('arch', 'millions'), [('femto', 7.305), ('kobe', 9.141), ('tiny', 26.545), ('small', 48.488), ('base', 84.813)]
)
def test_has_the_published_number_of_parameters_but_for_the_head(arch, millions):
    parameters = MambaOut.describe(arch).parameters + head(MambaOut.archs[arch].widths[-1])
    assert round(parameters / 1e6, 3) == millions


def test_mixes_as_many_channels_as_the_map_has_and_no_more():
    mixer = GatedConv(6)
    assert mixer.widths == (16, 10, 6)
    weight = mixer.fc2.weight.detach()
    x = torch.randn(1, 9, 9, 6, requires_grad=True)
    weight[:, 10:] = 0  # what the convolved channels give
    (grad,) = torch.autograd.grad(mixer(x)[0, 4, 4].sum(), x)
    assert grad[0, 4, 4].any()
    grad[0, 4, 4] = 0
    assert not grad.any()


def test_an_imagenet_checkpoint_loads_without_its_classifier():
    network = MambaOut(arch=SMALL)
    checkpoint = {
        'downsample_layers.0.conv1.bias': torch.full((4,), 1.0),
        'downsample_layers.0.norm2.bias': torch.full((8,), 2.0),
        'downsample_layers.2.conv.bias': torch.full((16,), 3.0),
        'stages.1.1.norm.bias': torch.full((12,), 4.0),
        'stages.3.0.conv.bias': torch.full((24,), 5.0),
        'norm.weight': torch.ones(24),
        'head.fc1.weight': torch.ones(96, 24),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed.conv1.bias == 1).all()
    assert (network.patch_embed.conv2.norm.bias == 2).all()
    assert (network.stages[2].downsample.reduction.bias == 3).all()
    assert (network.stages[1].blocks[1].norm1.bias == 4).all()
    assert (network.stages[3].blocks[0].attn.conv.bias == 5).all()
