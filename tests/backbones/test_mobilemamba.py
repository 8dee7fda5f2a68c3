"""MobileMamba: its share of channels, scans in both directions, odd maps, the authors' keys."""

import pytest
import torch

from denseformer.backbones import MobileMamba
from denseformer.backbones.state_space.mobilemamba import MultiReceptiveField, TwoWayScan

MILLIONS = {'t2': 8.467, 't4': 13.726, 's6': 14.587, 'b1': 16.673, 'b2': 16.673, 'b4': 16.673}


@pytest.mark.parametrize('arch', MobileMamba.archs)
def test_has_the_published_number_of_parameters_but_for_the_haar_filters(arch):
    network = MobileMamba.on_meta_device(arch=arch)
    mixers = [m for m in network.modules() if isinstance(m, MultiReceptiveField)]
    filters = 2 * sum(4 * mixer.widths[0] * 2 * 2 for mixer in mixers)  # the authors keep them as parameters
    parameters = sum(p.numel() for p in network.parameters()) + filters
    assert round(parameters / 1e6, 3) == MILLIONS[arch]


def test_channels_are_shared_out_as_in_the_paper():
    assert MultiReceptiveField(144, 7, 0.8, 0.2).widths == (112, 28, 4)
    assert MultiReceptiveField(200, 7, 0.8, 0.2).widths == (160, 40, 0)


def test_every_position_reaches_every_other_through_the_scans():
    scan = TwoWayScan(16).eval()
    x = torch.randn(1, 16, 5, 6, requires_grad=True)
    for row, column in ((0, 0), (2, 3), (4, 5)):
        (grad,) = torch.autograd.grad(scan(x)[0, :, row, column].square().sum(), x)
        assert grad.abs().sum((0, 1)).all()


@pytest.mark.parametrize('size', [(1, 1), (5, 4), (7, 9)])
def test_maps_with_odd_sides_keep_their_size(size):
    x = torch.randn(2, 32, *size)
    assert MultiReceptiveField(32, 3, 0.5, 0.25).eval()(x).shape == x.shape


def test_an_imagenet_checkpoint_loads_without_its_classifier_and_filters():
    network = MobileMamba(arch=dict(widths=(80, 48, 64), depths=(1, 1, 1)))
    scan = 'blocks1.0.mixer.m.attn.global_op.global_atten.'
    checkpoint = {
        f'{scan}A_logs': torch.arange(256.0).view(256, 1),
        f'{scan}x_proj_weight': torch.stack([torch.ones(6, 128), 2 * torch.ones(6, 128)]),
        f'{scan}out_norm.bias': torch.full((128,), 3.0),
        'blocks1.0.mixer.m.attn.global_op.wt_filter': torch.ones(256, 1, 2, 2),
        'blocks1.0.mixer.m.attn.global_op.wavelet_scale.0.weight': torch.full((1, 256, 1, 1), 4.0),
        'blocks2.3.ffn1.m.pw2.bn.bias': torch.full((48,), 5.0),
        'head.l.weight': torch.ones(1000, 64),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    mixer = network.stages[0].blocks[0].attn.distant
    assert torch.equal(mixer.scan.scans[1].A_log[:, 0], torch.arange(128.0, 256))
    assert [scan.x_proj.mean() for scan in mixer.scan.scans] == [1, 2]
    assert (mixer.scan.norm.bias == 3).all()
    assert (mixer.bands_gain == 4).all()
    assert (network.stages[1].blocks[0].after.mlp.fc2.norm.bias == 5).all()
