"""HorNet: global filters, whose learned spectra fit any map and any checkpoint."""

import pytest
import torch

from denseformer.backbones import HorNet
from denseformer.backbones.convolution.hornet import GlobalLocalFilter

MILLIONS = {
    'tiny': 21.90,
    'tiny_gf': 24.32,
    'small': 48.76,
    'small_gf': 52.39,
    'base': 86.23,
    'base_gf': 91.08,
    'large': 193.01,
    'large_gf': 200.27,
}
SMALL = {'width': 32, 'depths': (1, 1, 1, 1), 'spectra': (None, None, (24, 13), (12, 7))}


@pytest.mark.parametrize('arch', HorNet.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(HorNet.describe(arch).parameters / 1e6, 2) == MILLIONS[arch]


def test_a_spectrum_of_ones_changes_nothing_and_results_are_interleaved():
    layer = GlobalLocalFilter(8, (6, 4))
    torch.nn.init.dirac_(layer.local.weight, groups=4)
    with torch.no_grad():
        layer.spectrum.copy_(torch.tensor([1.0, 0.0]).expand_as(layer.spectrum))
        x = torch.randn(2, 9, 7, 8)
        normed = layer.norm_in(x)
        expected = layer.norm_out(normed[..., [0, 4, 1, 5, 2, 6, 3, 7]])
        torch.testing.assert_close(layer(x), expected)


def test_spectra_of_an_imagenet_checkpoint_are_resized_with_corners_on_corners():
    network = HorNet(arch=SMALL)
    total = 2 * 128 - 128 // 8
    small = torch.randn(total // 2, 14, 8, 2)
    key = 'stages.2.0.gnconv.dwconv.complex_weight'
    left = network.load_state_dict({key: small, 'downsample_layers.0.0.bias': torch.ones(32)}, strict=False)
    assert not left.unexpected_keys
    loaded = network.stages[2].blocks[0].attn.filter.spectrum
    assert loaded.shape == (total // 2, 24, 13, 2)
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        torch.testing.assert_close(loaded[:, row, column].detach(), small[:, row, column])


def test_spectra_can_be_built_at_the_size_of_the_detection_models():
    network = HorNet(arch=SMALL, filter_sizes=((14, 8), (7, 4)))
    assert network.stages[2].blocks[0].attn.filter.spectrum.shape[1:3] == (14, 8)
    assert network.stages[3].blocks[0].attn.filter.spectrum.shape[1:3] == (7, 4)


def test_filter_sizes_without_global_filters_are_refused():
    with pytest.raises(ValueError, match='_gf'):
        HorNet(arch='tiny', filter_sizes=((14, 8), (7, 4)))


def test_an_imagenet_checkpoint_loads_and_its_classifier_is_dropped():
    network = HorNet(arch=SMALL)
    checkpoint = {
        'downsample_layers.1.1.bias': torch.full((64,), 2.0),
        'stages.0.0.gnconv.proj_in.weight': torch.full((64, 32, 1, 1), 3.0),
        'stages.0.0.gnconv.pws.0.bias': torch.full((32,), 4.0),
        'stages.3.0.gnconv.dwconv.pre_norm.bias': torch.full((496,), 5.0),
        'stages.3.0.pwconv1.bias': torch.full((1024,), 6.0),
        'norm.weight': torch.ones(256),
        'head.bias': torch.ones(1000),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.stages[1].downsample.reduction.bias == 2).all()
    assert (network.stages[0].blocks[0].attn.proj_in.weight == 3).all()
    assert (network.stages[0].blocks[0].attn.widen[0].bias == 4).all()
    assert (network.stages[3].blocks[0].attn.filter.norm_in.bias == 5).all()
    assert (network.stages[3].blocks[0].mlp.fc1.bias == 6).all()
