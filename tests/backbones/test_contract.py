"""Every backbone with stages keeps the contract; a new family costs no line here."""

import copy
import json
from itertools import pairwise

import pytest
import refkit
import torch
from narrow import narrow_arch
from torch import nn

from denseformer.backbones import Backbone, CrossViT
from denseformer.backbones.plain.base import PlainBackbone
from denseformer.registry import MODELS

pytestmark = pytest.mark.usefixtures('short_hash_learning')

FAMILIES = [cls for cls in Backbone.families() if not issubclass(cls, (PlainBackbone, CrossViT))]
REFERENCES = json.loads((refkit.REFERENCES / 'index.json').read_text())
TOLERANCES = {
    # Tokens are sorted by significance, and rounding alone reorders them: the authors' code is 3e-2 from itself in
    # float64. What agrees nevertheless is checked in `test_sgformer.py`.
    'sgformer/small': 0.05,
}
VARIANTS = [(cls, arch) for cls in FAMILIES for arch in cls.archs]


@pytest.fixture(params=FAMILIES, ids=lambda cls: cls.__name__)
def family(request) -> type[Backbone]:
    return request.param


@pytest.fixture(scope='module', params=FAMILIES, ids=lambda cls: cls.__name__)
def network(request) -> Backbone:
    """One of each family, shared by the tests that only predict with it."""
    return request.param(arch=narrow_arch(request.param)).eval()


@pytest.mark.no_cover
@pytest.mark.parametrize(('cls', 'arch'), VARIANTS, ids=[f'{cls.__name__}-{arch}' for cls, arch in VARIANTS])
def test_every_variant_describes_itself_without_allocating(cls, arch):
    description = cls.describe(arch)
    assert len(description.channels) == len(description.strides) == len(cls.strides) > 1
    assert all(coarser in (finer, 2 * finer) for finer, coarser in pairwise(description.strides))
    assert description.parameters > 1e6
    assert description.source.license


@pytest.mark.parametrize('name', [name for name in REFERENCES if (refkit.REFERENCES / f'{name}.json').exists()])
def test_agrees_with_the_authors_code(name):
    spec = dict(REFERENCES[name])
    kind = MODELS.get('denseformer.' + spec.pop('type'))
    if not issubclass(kind, Backbone):
        pytest.skip('not a backbone')
    assert refkit.check(kind(**spec), name) < TOLERANCES.get(name, 1e-4)


@pytest.mark.parametrize('size', [(32, 32), (65, 97), (64, 160)])
def test_takes_any_size_and_returns_a_pyramid(network, size):
    with torch.no_grad():
        maps = network(torch.randn(2, 3, *size))
    assert [m.shape[1] for m in maps] == list(network.out_channels)
    for m, stride in zip(maps, network.out_strides, strict=True):
        assert all(side // stride <= got <= -(-side // stride) for got, side in zip(m.shape[2:], size, strict=True))
        assert torch.isfinite(m).all()


def test_fewer_outputs_build_fewer_stages_and_still_load_everything(family):
    whole = family.on_meta_device(arch=family.smallest())
    inner = slice(1, len(whole.out_channels) - 1)
    part = family.on_meta_device(arch=family.smallest(), out_indices=range(len(whole.out_channels))[inner])
    left = part.load_state_dict(whole.state_dict(), assign=True)
    assert not left.unexpected_keys
    assert part.out_channels == whole.out_channels[inner]
    left_out = sum(p.numel() for p in whole.parameters()) - sum(p.numel() for p in part.parameters())
    assert left_out > 0 or not any(True for _ in whole.stages[-1].parameters())


@pytest.mark.no_cover
def test_checkpointing_changes_neither_outputs_nor_gradients_nor_buffers(family):
    torch.manual_seed(0)
    plain = family(arch=narrow_arch(family), drop_path_rate=0.1).train()
    sparing = family(arch=narrow_arch(family), drop_path_rate=0.1, with_cp=True).train()
    sparing.load_state_dict(plain.state_dict())
    image = torch.randn(2, 3, 64, 64)
    for network in (plain, sparing):
        torch.manual_seed(1)
        sum(m.square().mean() for m in network(image)).backward()
    for (name, one), other in zip(plain.named_buffers(), sparing.buffers(), strict=True):
        assert torch.equal(one, other), name
    for (name, one), other in zip(plain.named_parameters(), sparing.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


@pytest.mark.no_cover
def test_trains_however_many_stages_are_frozen(family):
    network = family(arch=narrow_arch(family), frozen_stages=0)
    image = torch.randn(2, 3, 64, 64)
    for frozen in range(len(network.stages) + 1):
        freeze(network, frozen)
        network.zero_grad()
        loss = sum(m.square().mean() for m in network.train()(image))
        if loss.requires_grad:
            loss.backward()
        for name, parameter in network.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name
    assert not any(parameter.requires_grad for parameter in network.parameters())


def freeze(network: Backbone, stages: int) -> None:
    """As if `network` had been built with so many frozen stages; building each again would take too long."""
    network.frozen_stages = stages
    for module in network._frozen_modules():
        module.requires_grad_(False)


@pytest.mark.no_cover
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-4), (torch.bfloat16, 0.2)], ids=str)
def test_predicts_in_other_precisions(network, dtype, tolerance):
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        exact, maps = network(image), copy.deepcopy(network).to(dtype)(image.to(dtype))
    for a, b in zip(exact, maps, strict=True):
        assert b.dtype is dtype
        assert (a - b).norm() / a.norm() < tolerance


@pytest.mark.no_cover
def test_an_image_of_other_channels_is_refused(family):
    network = family.on_meta_device(arch=family.smallest(), in_channels=4)
    with pytest.raises(ValueError, match=r'takes images \(B, 4, H, W\), got \(1, 3, 64, 64\)'):
        network(torch.zeros(1, 3, 64, 64, device='meta'))


@pytest.mark.no_cover
def test_frozen_stages_take_no_gradient_and_stay_in_eval_mode(family):
    network = family.on_meta_device(arch=family.smallest(), frozen_stages=1).train()
    assert not any(p.requires_grad for p in network.patch_embed.parameters())
    assert not any(p.requires_grad for p in network.stages[0].parameters())
    assert all(p.requires_grad for p in network.stages[1].parameters())
    assert not network.stages[0].training
    assert network.stages[1].training


@pytest.mark.no_cover
def test_norm_eval_keeps_batch_statistics(family):
    network = family.on_meta_device(arch=family.smallest(), norm_eval=True).train()
    assert not any(m.training for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))


def test_parameter_roles_cover_every_parameter_and_deepen(family):
    network = family.on_meta_device(arch=family.smallest())
    roles = network.param_groups()
    assert set(roles) == {name for name, _ in network.named_parameters()}
    depths = [role.depth for name, role in roles.items() if name.startswith('stages')]
    assert max(depths) == sum(len(stage.blocks) for stage in network.stages)
    assert all(role.depth == 0 for name, role in roles.items() if name.startswith('patch_embed'))
