"""FFNet: convolutions that are trained as two and applied as one, and its checkpoint layout."""

import pytest
import torch

from denseformer.backbones import FFNet

MILLIONS = {'1': 13.14, '2': 26.50, '3': 48.05, '4': 78.85}


@pytest.mark.parametrize('arch', FFNet.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(FFNet.describe(arch).parameters / 1e6, 2) == MILLIONS[arch]


def test_an_imagenet_checkpoint_loads_and_its_classifier_is_dropped():
    network = FFNet(arch={'width': 8, 'depths': (1, 1, 1, 1), 'channel_kernel': 7, 'layer_scale': 1.0})
    checkpoint = {
        'patch_embed.2.bn.bias': torch.full((8,), 2.0),
        'stages.0.0.token_mixer.0.main.conv1.bias': torch.full((8,), 3.0),
        'stages.2.0.proj.0.conv1.c.weight': torch.full((32, 1, 3, 3), 4.0),
        'stages.2.0.proj.1.conv.bn.bias': torch.full((32,), 5.0),
        'stages.2.1.token_mixer.0.main.conv2.conv.bn.running_mean': torch.full((32,), 6.0),
        'stages.2.1.channel_mixer.main.conv.conv1.c.weight': torch.full((32, 1, 3, 3), 7.0),
        'stages.2.1.channel_mixer.layer_scale': torch.full((32, 1, 1), 8.0),
        'norm.weight': torch.ones(64),
        'head.weight': torch.ones(1000, 64),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed[1].norm.bias == 2).all()
    assert (network.stages[0].blocks[0].attn.fc1.bias == 3).all()
    assert (network.stages[2].downsample.reduction.small.conv.weight == 4).all()
    assert (network.stages[2].downsample.norm.bias == 5).all()
    assert (network.stages[2].blocks[0].attn.fc2.large.norm.running_mean == 6).all()
    assert (network.stages[2].blocks[0].mlp.conv.small.conv.weight == 7).all()
    assert (network.stages[2].blocks[0].gamma2 == 8).all()
