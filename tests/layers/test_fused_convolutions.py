"""Convolutions that take over what BatchNorm does, and what is exported then."""

import pytest
import torch
from torch import nn

from denseformer.backbones import LSNet, SHViT
from denseformer.layers import ConvNorm, TwinConv, fuse_conv_norm
from denseformer.layers.channel_first import ConvEmbed

LAYERS = [
    pytest.param(lambda: ConvNorm(4, 8, 3, 2, act=nn.ReLU), id='conv-norm'),
    pytest.param(lambda: ConvNorm(4, 4, 3, groups=4, bias=True), id='depthwise, with a bias'),
    pytest.param(lambda: ConvEmbed(4, 8, kernel_size=3, stride=2, padding=1, norm=nn.BatchNorm2d), id='embedding'),
    pytest.param(lambda: nn.Sequential(nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.GELU()), id='sequential'),
    pytest.param(lambda: TwinConv(4, 8, 2), id='twin'),
    pytest.param(lambda: TwinConv(4, 4, large=3, small=1, identity=True), id='twin and identity'),
]


def used(network: nn.Module) -> nn.Module:
    """The network in eval mode, with statistics, gains and biases other than 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return network.eval()


def norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize('make', LAYERS)
def test_fused_layers_give_the_same_without_batch_norm(make):
    layer, x = used(make()), torch.randn(2, 4, 9, 11)
    expected = layer(x)
    fused = fuse_conv_norm(layer)
    assert fused is layer
    assert not norms(fused)
    torch.testing.assert_close(fused(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fuse_conv_norm(fused)(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('stride', [1, 2])
def test_a_twin_in_eval_mode_gives_what_its_branches_give(stride):
    twin, x = used(TwinConv(4, 8, stride)), torch.randn(2, 4, 9, 11)
    torch.testing.assert_close(twin(x), twin.large(x) + twin.small(x), rtol=1e-4, atol=1e-5)


def test_a_twin_trains_its_branches_apart():
    twin, x = TwinConv(4, 4, large=3, small=1, identity=True), torch.randn(2, 4, 9, 11)
    torch.testing.assert_close(twin(x), twin.large(x) + twin.small(x) + x)


def test_batch_norm_that_follows_no_convolution_stays():
    network = fuse_conv_norm(used(LSNet(arch={'widths': (16, 16, 16, 16), 'depths': (1, 2, 1, 1)})))
    assert [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)] == [
        'stages.1.blocks.1.attn.norm'
    ]


def test_a_network_is_exported_without_batch_norm():
    network = used(SHViT(arch={'widths': (16, 24, 32), 'depths': (1, 1, 1), 'partial': (None, 8, 8)}))
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = network(x)
        program = torch.export.export(fuse_conv_norm(network), (x,))
    assert not [node for node in program.graph.nodes if 'batch_norm' in str(node.target)]
    for a, b in zip(program.module()(x), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * b.std().item())
