"""Hiera and SAM 2's image encoder: published sizes, windows that lag one block behind, and checkpoint layouts."""

from itertools import chain

import pytest
import refkit
import torch

from denseformer.backbones import SAM2, Hiera
from denseformer.backbones.plain.hiera import BIAS


@pytest.mark.parametrize(
    ('arch', 'millions'),
    [('tiny', 27.910), ('small', 35.008), ('base', 51.525), ('base_plus', 69.897), ('large', 213.740)],
)
def test_hiera_has_the_published_number_of_parameters_with_its_classifier(arch, millions):
    description = Hiera.describe(arch)
    width = description.channels[-1]
    classifier = 2 * width + 1000 * (width + 1)  # the norm and 1000 classes
    assert (description.parameters + classifier) / 1e6 == pytest.approx(millions, abs=1e-3)


@pytest.mark.parametrize(
    ('arch', 'trunk', 'neck'),
    [('tiny', 26.849, 0.370), ('small', 33.947, 0.370), ('base_plus', 68.676, 0.431), ('large', 212.149, 0.554)],
)
def test_sam_2_has_the_published_number_of_parameters(arch, trunk, neck):
    assert SAM2.describe(arch).parameters / 1e6 == pytest.approx(trunk, abs=1e-3)
    assert SAM2.describe(arch, neck=True).parameters / 1e6 == pytest.approx(trunk + neck, abs=2e-3)


def test_the_first_block_of_a_stage_attends_as_the_stage_before():
    assert Hiera.archs['tiny'].block_windows()[1:3] == [[8, 4], [4, *[None] * 6]]
    assert [*chain(*SAM2.archs['tiny'].block_windows())] == [8, 8, 4, 4, 14, None, 14, None, 14, None, 14, 7]


def test_trunk_and_neck_agree_with_sam_2():
    reference = refkit.load_reference('sam2/hiera_t')
    run, state = reference['runs'][0], refkit.fill_state_dict(reference['shapes'])
    trunk, whole = (SAM2(arch='tiny', neck=neck).eval() for neck in (False, True))
    for network in (trunk, whole):
        left = network.load_state_dict(state)
        assert not left.missing_keys
        assert not left.unexpected_keys
    image = refkit.make_input(run)
    with torch.no_grad():
        maps = [*trunk(image), *whole(image)[:3]]
    assert refkit.deviation(maps, run['outputs']) < 1e-4


def test_sam_2_takes_its_encoder_out_of_a_whole_model():
    network = SAM2.on_meta_device(arch='tiny')
    state = {f'image_encoder.trunk.{key}': value for key, value in network.state_dict().items()}
    state['memory_attention.norm.weight'] = torch.zeros(1)
    left = network.load_state_dict(state, assign=True)
    assert not left.missing_keys
    assert not left.unexpected_keys


def test_the_neck_of_sam_2_learns_at_the_rate_of_heads():
    groups = SAM2.on_meta_device(arch='tiny', neck=True).param_groups()
    assert {group.depth for name, group in groups.items() if name.startswith('neck.')} == {13}


def test_biases_of_hiera_start_at_their_authors_value():
    block = Hiera(arch=Hiera.truncated_arch()).stages[0].blocks[0]
    for layer in (block.norm1, block.attn.qkv, block.mlp.fc2):
        assert (layer.bias == BIAS).all()


def test_a_neck_without_all_stages_is_refused():
    with pytest.raises(ValueError, match='maps of all stages'):
        SAM2.on_meta_device(arch='tiny', neck=True, out_indices=(1, 2))


def test_hieras_table_of_another_size_loads():
    source, network = (Hiera(arch=Hiera.truncated_arch(), image_size=size) for size in (64, (32, 96)))
    assert not network.load_state_dict(source.state_dict()).missing_keys
    assert network.patch_embed.positions.table.shape == (1, 8 * 24, 96)
