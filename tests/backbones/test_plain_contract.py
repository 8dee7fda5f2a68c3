"""Every plain backbone in the registry keeps the contract; a new family costs no line here."""

from functools import partial

import pytest
import torch
from narrow import narrow_arch

from denseformer.backbones.plain.base import PlainBackbone

FAMILIES = PlainBackbone.families()
VARIANTS = [(cls, arch) for cls in FAMILIES for arch in cls.archs]


@pytest.fixture(params=FAMILIES, ids=lambda cls: cls.__name__)
def family(request) -> type[PlainBackbone]:
    return request.param


@pytest.fixture(scope='module', params=FAMILIES, ids=lambda cls: cls.__name__)
def network(request) -> PlainBackbone:
    """One of each family, shared by the tests that only predict with it."""
    return request.param(arch=narrow_arch(request.param)).eval()


@pytest.mark.no_cover
@pytest.mark.parametrize(('cls', 'arch'), VARIANTS, ids=[f'{cls.__name__}-{arch}' for cls, arch in VARIANTS])
def test_every_variant_describes_itself_without_allocating(cls, arch):
    description = cls.describe(arch)
    assert len(description.channels) == len(description.strides) == len(cls.archs[arch].default_out_indices)
    assert len(set(description.channels)) == len(set(description.strides)) == 1
    assert description.parameters > 1e6
    assert description.source.license


@pytest.mark.parametrize('size', [(32, 32), (65, 97), (64, 160)])
def test_takes_any_size_and_returns_maps_at_one_stride(network, size):
    with torch.no_grad():
        maps = network(torch.randn(2, 3, *size))
    assert [m.shape[1] for m in maps] == list(network.out_channels)
    for m in maps:
        stride = network.patch_size
        assert all(side // stride <= got <= -(-side // stride) for got, side in zip(m.shape[2:], size, strict=True))
        assert torch.isfinite(m).all()


def test_tokens_are_handed_over_on_request(network):
    build = partial(type(network), arch=narrow_arch(type(network)), output_tokens=True)
    if not network.patch_embed.prefix:
        with pytest.raises(ValueError, match='no tokens besides patches'):
            build()
        return
    image = torch.randn(1, 3, 64, 96)
    other = build().eval()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        for block, expected, (patches, tokens) in zip(network.out_indices, network(image), other(image), strict=True):
            torch.testing.assert_close(patches, expected)
            assert tokens.shape == (1, network.prefix_after(block), network.arch.width)


def test_computes_in_double_precision(network):
    image = torch.randn(1, 3, 64, 96)
    double = type(network)(arch=narrow_arch(type(network))).eval()
    double.load_state_dict(network.state_dict())
    with torch.no_grad():
        for single, exact in zip(network(image), double.double()(image.double()), strict=True):
            assert exact.dtype is torch.float64
            torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.no_cover
def test_exports_once_for_all_sizes(family):
    network = family(arch=narrow_arch(family)).eval()
    sides = {2: torch.export.Dim('rows', min=2, max=64), 3: torch.export.Dim('columns', min=2, max=64)}
    patch = network.patch_size
    shapes = {'image': {axis: patch * side for axis, side in sides.items()}}
    with torch.no_grad():
        program = torch.export.export(network, (torch.randn(1, 3, 8 * patch, 6 * patch),), dynamic_shapes=shapes)
        image = torch.randn(1, 3, 5 * patch, 9 * patch)
        for exported, own in zip(program.module()(image), network(image), strict=True):
            torch.testing.assert_close(exported, own, rtol=1e-3, atol=1e-3)


def test_blocks_after_the_last_output_are_not_built_and_their_keys_dropped(family):
    whole = family.on_meta_device(arch=family.smallest())
    part = family.on_meta_device(arch=family.smallest(), out_indices=(1, 2))
    left = part.load_state_dict(whole.state_dict(), assign=True)
    assert not left.unexpected_keys
    assert len(part.blocks) == 3
    assert part.out_channels == (whole.arch.width,) * 2


def test_an_output_that_no_block_makes_is_refused(family):
    with pytest.raises(ValueError, match='out_indices must be ascending'):
        family.on_meta_device(arch=family.smallest(), out_indices=(-1,))


def test_plugins_behind_stages_are_refused(family):
    with pytest.raises(ValueError, match='has none'):
        family.on_meta_device(arch=family.smallest(), plugins=[dict(cfg=dict(type='denseformer.ELA'))])


def test_frozen_blocks_take_no_gradient_and_stay_in_eval_mode(family):
    network = family.on_meta_device(arch=family.smallest(), frozen_stages=1).train()
    frozen, trained = network.blocks[0], network.blocks[1]
    assert not any(p.requires_grad for module in (network.patch_embed, frozen) for p in module.parameters())
    assert all(p.requires_grad for p in trained.parameters())
    assert not frozen.training
    assert trained.training


def test_a_wholly_frozen_backbone_has_nothing_to_train(family):
    network = family.on_meta_device(arch=narrow_arch(family), frozen_stages=2)
    assert not any(p.requires_grad for p in network.parameters())


def test_parameter_roles_cover_every_parameter_and_deepen(family):
    network = family.on_meta_device(arch=family.smallest(), norm_outputs=family.has_final_norm)
    roles = network.param_groups()
    assert set(roles) == {name for name, _ in network.named_parameters()}
    assert all(role.depth == 0 for name, role in roles.items() if name.startswith('patch_embed'))
    assert {role.depth for name, role in roles.items() if name.startswith('blocks')} == set(range(1, network.depth + 1))
    assert not any(role.decay for name, role in roles.items() if name.endswith(('_token', '.table', 'gamma1')))


def test_the_final_norm_is_built_only_where_maps_pass_through_it(family):
    if not family.has_final_norm:
        with pytest.raises(ValueError, match='no final norm'):
            family.on_meta_device(arch=family.smallest(), norm_outputs=True)
        return
    raw, normed = (family.on_meta_device(arch=family.smallest(), norm_outputs=norm) for norm in (False, True))
    assert not any(name.startswith('norm.') for name, _ in raw.named_parameters())
    assert not raw.load_state_dict(normed.state_dict(), assign=True).unexpected_keys
