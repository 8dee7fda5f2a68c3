"""DLGSANet: kernels per pixel, windows in prediction only."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.attention.channel import channel_cosines, mix_channels
from denseformer.attention.dynamic_conv import dynamic_depthwise
from denseformer.attention.patches import balanced_starts
from denseformer.restoration.networks import DLGSANet

PARAMETERS = {
    ('tiny', 2): 565_710,
    ('tiny', 3): 572_205,
    ('tiny', 4): 581_298,
    ('light', 2): 745_188,
    ('light', 3): 751_683,
    ('light', 4): 760_776,
}


@pytest.mark.parametrize(('variant', 'parameters'), PARAMETERS.items(), ids=str)
def test_parameter_counts_are_the_published_ones(variant, parameters):
    arch, scale = variant
    assert DLGSANet.describe(arch, scale=scale).parameters == parameters


@pytest.mark.parametrize(('scale', 'millions'), [(2, 4.734), (3, 4.746), (4, 4.763)])
def test_the_large_variant_has_its_published_size(scale, millions):
    assert DLGSANet.describe('large', scale=scale).parameters / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.parametrize(('side', 'starts'), [(48, (0,)), (53, (0, 5)), (97, (0, 25, 49)), (96, (0, 48))])
def test_windows_cover_a_side_evenly(side, starts):
    assert balanced_starts(side, 48) == starts


def test_windows_are_used_in_prediction_only():
    torch.manual_seed(0)
    windowed, whole = DLGSANet(arch='tiny'), DLGSANet(arch='tiny', windowed=False)
    whole.load_state_dict(windowed.state_dict())
    small, large = torch.rand(1, 3, 48, 40), torch.rand(1, 3, 20, 70)
    with torch.no_grad():
        torch.testing.assert_close(windowed.train()(large), whole.train()(large))
        torch.testing.assert_close(windowed.eval()(small), whole.eval()(small))
        assert (windowed(large) - whole(large)).abs().max() > 1e-6


def test_channels_attend_within_each_image_of_a_batch():
    torch.manual_seed(0)
    network = DLGSANet(arch='tiny').eval()
    images = torch.rand(2, 3, 20, 70)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[1:], network(images[1:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('strip', [1, 2**21])
def test_every_pixel_is_convolved_with_its_own_kernel(strip, monkeypatch):
    monkeypatch.setattr('denseformer.kernels.dynamic_conv.STRIP', strip)
    B, C, H, W, groups, size = 2, 6, 5, 7, 2, 3
    x, hidden = torch.randn(B, C, H, W), torch.randn(B, 4, H, W)
    weight, bias = torch.randn(groups * size**2, 4), torch.randn(groups * size**2)
    out = dynamic_depthwise(x, hidden, weight, bias, size)
    made = torch.einsum('tr,brhw->bthw', weight, hidden) + bias[:, None, None]
    near = F.unfold(x, size, padding=1).view(B, groups, C // groups, size**2, H, W)
    expected = torch.einsum('bgcthw,bgthw->bgchw', near, made.view(B, groups, size**2, H, W)).flatten(1, 2)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('width', [4, 40])
def test_channels_are_mixed_by_their_cosines(width):
    q, k, v = torch.randn(3, 2, 50, 3, width)
    cosines = channel_cosines(q, k)
    expected = F.normalize(q, dim=1).permute(0, 2, 3, 1) @ F.normalize(k, dim=1).transpose(1, 2)
    torch.testing.assert_close(cosines, expected)
    mixed = torch.einsum('bhij,bnhj->bnhi', cosines, v).flatten(2)
    torch.testing.assert_close(mix_channels(v, cosines), mixed, rtol=1e-4, atol=1e-5)


def test_cosines_of_long_half_precision_maps_are_finite():
    x = torch.full((1, 100_000, 1, 2), 60.0, dtype=torch.float16)
    torch.testing.assert_close(channel_cosines(x, x).float(), torch.ones(1, 1, 2, 2), rtol=0.02, atol=0.02)
