"""LPIPS: the package gets images as it expects them and features from a file; without it, the remedy is named."""

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from denseformer.registry import METRICS

SHAPES = {'slice1.0': (64, 3, 11, 11), 'slice2.3': (192, 64, 5, 5)}


class StandIn(nn.Module):
    """The used part of the package's network: its features by name, and a distance of images on [-1, 1]."""

    def __init__(self, net: str, pnet_rand: bool, verbose: bool):
        super().__init__()
        assert pnet_rand  # otherwise the package downloads weights
        self.net = nn.Module()
        for name, (channels, inputs, side, _) in SHAPES.items():
            block, _, number = name.partition('.')
            self.net.add_module(block, nn.Module())
            self.net.get_submodule(block).add_module(number, nn.Conv2d(inputs, channels, side))

    def forward(self, restored, target):
        assert -1 <= restored.min() <= restored.max() <= 1
        return (restored - target).abs().mean()


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'lpips', SimpleNamespace(LPIPS=StandIn))
    content = {f'features.{name.partition(".")[2]}.weight': torch.rand(shape) for name, shape in SHAPES.items()}
    content |= {key.replace('weight', 'bias'): torch.rand(len(value)) for key, value in content.items()}
    torch.save({**content, 'classifier.1.weight': torch.zeros(2, 2)}, tmp_path / 'alexnet.pth')
    return tmp_path / 'alexnet.pth'


def build(weights, **options):
    return METRICS.build({'type': 'denseformer.LPIPS', 'weights': str(weights), **options})


def test_images_are_compared_on_the_packages_scale(weights):
    metric = build(weights, crop_border=2)
    restored = torch.full((3, 32, 32), 1.2)
    restored[:, :2] = 0
    metric.process(None, [{'pred_img': restored, 'gt_img': torch.full((3, 32, 32), 51, dtype=torch.uint8)}])
    assert metric.evaluate(1)['LPIPS'] == pytest.approx(2 * 0.8)
    given = torch.load(weights)['features.3.weight']
    assert torch.equal(metric.distance.net.state_dict()['slice2.3.weight'], given)


def test_weights_of_another_network_are_refused(weights):
    torch.save({'features.0.weight': torch.zeros(3)}, weights)
    with pytest.raises(ValueError, match=r'alexnet\.pth: 4 of 4 tensors.*AlexNet'):
        build(weights)


def test_without_the_package_the_remedy_is_named(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, 'lpips', None)
    with pytest.raises(ValueError, match='pip install lpips'):
        build(weights)


@pytest.mark.skipif(importlib.util.find_spec('lpips') is None, reason='the package lpips is not installed')
def test_the_package_itself_tells_equal_images_from_others(tmp_path):
    import lpips

    features = lpips.LPIPS(net='alex', pnet_rand=True, verbose=False).net.state_dict()
    torch.save({'features.' + name.partition('.')[2]: value for name, value in features.items()}, tmp_path / 'a.pth')
    metric = build(tmp_path / 'a.pth')
    image = torch.rand(3, 64, 64)
    metric.process(None, [{'pred_img': image, 'gt_img': image}])
    metric.process(None, [{'pred_img': image, 'gt_img': 1 - image}])
    assert metric.results[0] == 0 < metric.results[1]
