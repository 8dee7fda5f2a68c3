"""ConvNeXt: its sizes, and the layout of its ImageNet checkpoints."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.backbones import ConvNeXt

MILLIONS = {'tiny': 27.82, 'small': 49.46, 'base': 87.57, 'large': 196.23, 'xlarge': 348.15}


@pytest.mark.parametrize('arch', ConvNeXt.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(ConvNeXt.describe(arch).parameters / 1e6, 2) == MILLIONS[arch]


def test_leaves_out_what_does_not_fill_a_patch():
    network = ConvNeXt(arch={'width': 8, 'depths': (1, 1, 1, 1)}).eval()
    image = torch.randn(1, 3, 67, 99)
    with torch.no_grad():
        maps, cropped = network(image), network(image[..., :64, :96])
    assert [tuple(m.shape[2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert all(torch.equal(a, b) for a, b in zip(maps, cropped, strict=True))


def test_an_imagenet_checkpoint_lacks_nothing_but_the_output_norms():
    network = ConvNeXt(arch={'width': 8, 'depths': (1, 1, 1, 1)})
    checkpoint = {
        'downsample_layers.0.0.weight': torch.full((8, 3, 4, 4), 0.5),
        'downsample_layers.3.1.weight': torch.full((64, 32, 2, 2), 0.25),
        'stages.3.0.dwconv.weight': torch.full((64, 1, 7, 7), 0.125),
        'stages.3.0.pwconv2.bias': torch.full((64,), 2.0),
        'norm.weight': torch.ones(64),
        'head.weight': torch.ones(1000, 64),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed.proj.weight == 0.5).all()
    assert (network.stages[3].downsample.reduction.weight == 0.25).all()
    assert (network.stages[3].blocks[0].attn.weight == 0.125).all()
    assert (network.stages[3].blocks[0].mlp.fc2.bias == 2).all()


@pytest.mark.parametrize('twice', [True, False])
def test_dinov3s_weights_load_where_the_last_map_alone_is_normed(twice):
    network = ConvNeXt(arch='tiny', norm_last_only=True)
    state = network.state_dict()
    for name in ('weight', 'bias'):
        state[f'norm.{name}'] = state.pop(f'out_norms.3.{name}') + 1
        if twice:
            state[f'norms.3.{name}'] = state[f'norm.{name}']
    state['downsample_layers.0.0.weight'] = state.pop('patch_embed.proj.weight')
    left = network.load_state_dict(state)
    assert not left.missing_keys
    assert not left.unexpected_keys
    assert (network.out_norms[3].weight == 2).all()


def test_maps_are_those_of_patches_resized_before_their_norm():
    arch = dict(width=8, depths=(1, 1, 1, 1))
    network = ConvNeXt(arch=arch, norm_last_only=True).eval()
    patched = ConvNeXt(arch=arch, norm_last_only=True, patch_size=16).eval()
    patched.load_state_dict(network.state_dict())
    assert patched.out_strides == (16,) * 4
    image = torch.randn(1, 3, 64, 96)
    first, _, third, last = patched(image)
    assert first.shape == (1, 8, 4, 6)
    assert last.shape == (1, 64, 4, 6)
    torch.testing.assert_close(third, network(image)[2])
    torch.testing.assert_close(first, F.interpolate(network(image)[0], (4, 6), mode='bilinear', antialias=True))
