"""SMARTIES: bands and the ranges of the spectrum that embed them."""

import pytest
import torch

from denseformer.backbones import SMARTIES
from denseformer.backbones.plain.embedding import sine_positions
from denseformer.backbones.plain.smarties import SpectralPatches, mixture

PROBE = dict(width=32, blocks=2, heads=2)


def test_a_range_without_a_layer_mixes_two_and_the_farther_weighs_more():
    assert mixture(4) == {4: 1.0}
    assert mixture(18) == pytest.approx({0: 39.5 / 50, 1: 10.5 / 50})
    assert mixture(17)[15] > 0.99


def test_a_token_is_twelve_times_the_mean_over_bands():
    patches = SpectralPatches((15, 16), 8, 4)
    image = torch.randn(1, 2, 4, 8)
    second = image[0, :, :, 4:].flatten(1)
    expected = 6 * (patches.ranges['15'](second[0]) + patches.ranges['16'](second[1]))
    torch.testing.assert_close(patches(image)[0, :, 0, 1], expected)


@pytest.mark.parametrize(('channels', 'bands'), [(2, None), (12, None), (4, (18, 17, 5, 9))])
def test_layers_of_other_sensors_are_not_built_and_their_keys_dropped(channels, bands):
    network = SMARTIES(arch=PROBE, in_channels=channels, bands=bands).eval()
    state = {
        f'spectrum_projection.spectrum_embeds.{i}.proj.{name}': torch.ones(shape)
        for i in range(17)
        for name, shape in (('weight', (32, 256)), ('bias', (32,)))
    }
    left = network.load_state_dict(state, strict=False)
    assert not left.unexpected_keys
    assert not any('ranges' in key for key in left.missing_keys)
    with torch.no_grad():
        assert network(torch.randn(1, channels, 40, 64))[-1].shape == (1, 32, 3, 4)


def test_positions_say_column_then_row_and_nothing_of_the_class_token():
    table = sine_positions((2, 3), 8, torch.device('cpu'), torch.float32)[0]
    assert not table[0].any()
    places = table[1:].view(2, 3, 8)
    assert torch.equal(places[0, :, :4], places[1, :, :4])
    assert torch.equal(places[:, 0, 4:], places[:, 2, 4:])
    assert places[0, 2, 0] == pytest.approx(torch.tensor(2.0).sin())


@pytest.mark.parametrize('options', [dict(in_channels=5), dict(bands=(1, 2)), dict(bands=(1, 2, 40))])
def test_channels_without_a_known_range_are_refused(options):
    with pytest.raises(ValueError, match='bands'):
        SMARTIES.on_meta_device(arch='base', **options)
