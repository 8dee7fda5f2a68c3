"""ELA alone, behind the stages of our backbones, and in mmcv's plugin mechanism."""

import pytest
import refkit
import torch
from mmdet.models.backbones import ResNet
from torch import nn

from denseformer.backbones import ConvNeXt, Swin
from denseformer.plugins import ELA

TINY = {'width': 16, 'depths': (1, 1, 1, 1)}
PLUGINS = [dict(cfg=dict(type='denseformer.ELA'), stages=(False, True, True, True))]


def test_all_variants_agree_with_the_definition():
    names = {'T': 'tiny', 'B': 'base', 'S': 'small', 'L': 'large'}
    variants = nn.ModuleDict({letter: ELA(64, variant) for letter, variant in names.items()})
    reference = refkit.load_reference('ela/variants')
    variants.load_state_dict(refkit.fill_state_dict(reference['shapes']))
    (run,) = reference['runs']
    image = refkit.make_input(run)
    with torch.no_grad():
        assert refkit.deviation([variant(image) for variant in variants.values()], run['outputs']) < 1e-4


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match='multiple of 16 channels, not 24'):
        ELA(24)
    with pytest.raises(ValueError, match='Known: tiny, base, small, large'):
        ELA(64, 'huge')


@pytest.mark.parametrize(('cls', 'arch'), [(ConvNeXt, TINY), (Swin, {**TINY, 'heads': (1, 1, 1, 1)})])
def test_backbones_take_it_behind_the_stages_asked_for(cls, arch):
    plain, plugged = cls(arch=arch).eval(), cls(arch=arch, plugins=PLUGINS).eval()
    left = plugged.load_state_dict(plain.state_dict(), strict=False)
    assert {key.split('.')[1] for key in left.missing_keys} == {'1', '2', '3'}
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        first, second = plain(image), plugged(image)
    assert [torch.equal(a, b) for a, b in zip(first, second, strict=True)] == [True, False, False, False]
    assert [a.shape for a in first] == [b.shape for b in second]
    depths = {name.split('.')[1]: group.depth for name, group in plugged.param_groups().items() if 'plugins' in name}
    assert depths == {'1': 2, '2': 3, '3': 4}


def test_mmdets_resnet_takes_it_in_its_blocks():
    plugin = dict(cfg=dict(type='denseformer.ELA'), stages=(True, False, False, False), position='after_conv3')
    network = ResNet(50, plugins=[plugin])
    network.eval()  # returns nothing
    assert isinstance(network.layer1[0].ela, ELA)
    with torch.no_grad():
        assert network(torch.randn(1, 3, 32, 32))[0].shape == (1, 256, 8, 8)
