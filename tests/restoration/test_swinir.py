"""SwinIR: the published variants, and the sizes they pad to."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.restoration.networks import SwinIR

PARAMETERS = [
    ('light', 2, 3, 910_152),
    ('light', 3, 3, 918_267),
    ('light', 4, 3, 929_628),
    ('classical', 2, 3, 11.75e6),
    ('classical', 3, 3, 11.94e6),
    ('classical', 4, 3, 11.90e6),
    ('real', 4, 3, 11.72e6),
    ('real_large', 4, 3, 28.01e6),
    ('denoising', 1, 3, 11.50e6),
    ('jpeg', 1, 1, 11.49e6),
]
TINY = {'dim': 12, 'groups': 1, 'blocks': 2, 'heads': 2, 'window': 8}


@pytest.mark.parametrize(('arch', 'scale', 'channels', 'parameters'), PARAMETERS)
def test_parameters(arch, scale, channels, parameters):
    found = SwinIR.describe(arch, scale=scale, in_channels=channels).parameters
    assert found == pytest.approx(parameters, abs=0 if arch == 'light' else 6e3)


def test_the_image_is_reflected_and_the_output_cropped():
    network = SwinIR(arch=TINY, scale=2).eval()
    image = torch.rand(1, 3, 13, 18)
    with torch.no_grad():
        reflected = network(F.pad(image, (0, 6, 0, 3), mode='reflect'))
        assert torch.equal(network(image), reflected[..., :26, :36])


def test_a_side_too_short_to_reflect_once_is_reflected_again():
    network = SwinIR(arch=TINY, scale=2).eval()
    image = torch.rand(1, 3, 8, 3)
    columns = [0, 1, 2, 1, 0, 1, 2, 1]
    with torch.no_grad():
        assert torch.equal(network(image), network(image[..., columns])[..., :6])


@pytest.mark.parametrize(('arch', 'scale'), [('denoising', 2), ('jpeg', 4), ('light', 1), ('real', 3)])
def test_scales_that_a_variant_cannot_have(arch, scale):
    with pytest.raises(ValueError, match=f'{scale}'):
        SwinIR(arch=arch, scale=scale)


def test_restoring_variants_start_from_the_image():
    network = SwinIR(arch={**TINY, 'upsampler': '', 'image_range': 255}).eval()
    torch.nn.init.zeros_(network.upsampler.conv_last.weight)
    torch.nn.init.zeros_(network.upsampler.conv_last.bias)
    image = torch.rand(1, 3, 10, 9)
    with torch.no_grad():
        torch.testing.assert_close(network(image), image)


@pytest.mark.parametrize('upsampler', ['pixelshuffle', 'pixelshuffledirect', 'nearest+conv', ''])
@pytest.mark.parametrize('closing', ['1conv', '3conv'])
def test_every_upsampler_is_recognised(upsampler, closing):
    arch = {**TINY, 'upsampler': upsampler, 'closing': closing}
    network = SwinIR.on_meta_device(arch=arch, scale=2 if upsampler else 1, in_channels=2)
    options = SwinIR.infer_options(network.state_dict())
    again = SwinIR.on_meta_device(**options)
    assert (again.arch, again.scale, again.in_channels) == (network.arch, network.scale, 2)
