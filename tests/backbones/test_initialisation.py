"""Initial weights without a checkpoint: the authors' distributions, and maps of a sane scale.

The rules are those of the authors' ImageNet code, read family by family.
"""

import math

import pytest
import torch
from torch import nn

from denseformer import backbones
from denseformer.backbones import Backbone, HaloNet, PoolFormer, Swin, TransNeXt
from denseformer.backbones.windows.halonet import Bottleneck, HaloAttention
from denseformer.layers import Mlp2d, Pointwise

KINDS = [getattr(backbones, name) for name in backbones.__all__ if name != 'Backbone']
FAMILIES = [kind for kind in KINDS if issubclass(kind, Backbone)]
FAN_OUT = ('EcoFormer', 'FaViT', 'HaloNet', 'MiT', 'MoH', 'PyramidTNT', 'SGFormer', 'SVT', 'SpectFormer')
FAN_OUT += ('TransNeXt', 'VAN')
NARROW = (
    'A2Mamba',
    'CARE',
    'ConvNeXt',
    'FFNet',
    'FcaFormer',
    'Hiera',
    'HorNet',
    'L2ViT',
    'LWGANet',
    'MambaOut',
    'MaxViT',
)
OWN = ('ConViT', 'EfficientViT', 'HaloNet', 'LSNet', 'MobileMamba', 'PoolFormer', 'SHViT', 'STViT', 'VCMamba', 'Vim')
"""Families with a rule of their own for some layers."""
BY_PLACE = ('FAN', 'VCMamba', 'ViTamin', 'Vim')
"""Families whose rule for a convolution depends on where it stands; their own tests check it."""
SAMPLE = 4000
"""Weights of a layer from which its deviation is known to within a few per cent."""


@pytest.fixture(scope='module', params=FAMILIES, ids=lambda cls: cls.__name__)
def network(request) -> Backbone:
    torch.manual_seed(0)
    return request.param(arch=request.param.truncated_arch())


def layers(network: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, kinds) and m.weight.numel() >= SAMPLE]


def deviation_ratio(layer: nn.Module, expected: float) -> float:
    return float(layer.weight.detach().std()) / expected


def fan(conv: nn.Conv2d, channels: int) -> int:
    return math.prod(conv.kernel_size) * channels // conv.groups


@pytest.mark.no_cover
def test_weights_are_drawn_as_the_authors_draw_them(network):
    family = type(network).__name__
    linears = [m for m in layers(network, nn.Linear) if not isinstance(m, Pointwise)]
    if family not in OWN:
        assert all(deviation_ratio(m, 0.02) == pytest.approx(1, abs=0.05) for m in linears)
        start = 0.02 if family == 'Hiera' else 0
        assert all((m.bias == start).all() for m in linears if m.bias is not None)
    for conv in () if family in BY_PLACE else layers(network, nn.Conv2d):
        if family in FAN_OUT:
            expected = math.sqrt(2 / fan(conv, conv.out_channels))
        elif family in NARROW or (family == 'PoolFormer' and conv.kernel_size == (1, 1)):
            expected = 0.02
        else:
            expected = (3 * fan(conv, conv.in_channels)) ** -0.5
        assert deviation_ratio(conv, expected) == pytest.approx(1, abs=0.1)


@pytest.mark.no_cover
@torch.no_grad()
def test_fresh_maps_are_of_a_sane_scale_while_training(network):
    generator = torch.Generator().manual_seed(0)
    for m in network.train()(torch.randn(2, 3, 64, 96, generator=generator)):
        assert torch.isfinite(m).all()
        assert 1e-3 < m.std() < 30


def test_pointwise_convolutions_on_channel_last_maps_are_convolutions_to_the_rules():
    torch.manual_seed(0)
    found = layers(TransNeXt(arch='micro'), Pointwise)
    assert found
    assert all(deviation_ratio(m, math.sqrt(2 / m.out_features)) == pytest.approx(1, abs=0.05) for m in found)


def test_halonet_starts_with_residual_branches_of_zero_and_projections_by_width():
    torch.manual_seed(0)
    network = HaloNet(arch='26t')
    blocks = [m for m in network.modules() if isinstance(m, Bottleneck)]
    assert blocks
    assert not any(block.conv3.norm.weight.any() for block in blocks)
    for attn in (m for m in network.modules() if isinstance(m, HaloAttention)):
        assert deviation_ratio(attn.kv, attn.kv.in_features**-0.5) == pytest.approx(1, abs=0.05)


def test_poolformer_mlps_have_no_bias_at_the_start_and_embeddings_have():
    network = PoolFormer(arch='s12')
    mlps = [m for m in network.modules() if isinstance(m, Mlp2d)]
    assert not any(mlp.fc1.bias.any() or mlp.fc2.bias.any() for mlp in mlps)
    assert network.patch_embed.proj.bias.any()


def test_a_checkpoint_replaces_the_initial_weights(tmp_path):
    arch = dict(width=16, depths=(1, 1), heads=(1, 2))
    trained = Swin(arch=arch, out_indices=(0, 1))
    torch.save(trained.state_dict(), tmp_path / 'trained.pth')
    start = dict(type='Pretrained', checkpoint=str(tmp_path / 'trained.pth'))
    network = Swin(arch=arch, out_indices=(0, 1), init_cfg=start)
    network.init_weights()
    for (name, ours), (_, theirs) in zip(network.state_dict().items(), trained.state_dict().items(), strict=True):
        assert torch.equal(ours, theirs), name
