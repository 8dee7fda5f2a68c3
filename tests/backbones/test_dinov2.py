"""DINOv2 and TIPS: published sizes, and the layouts that their checkpoints come in."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.backbones import TIPS, DINOv2

PROBE = dict(width=32, blocks=2, heads=2)


@pytest.mark.parametrize(
    ('network', 'arch', 'parameters'),
    [
        (DINOv2, 'small', 22_056_576),
        (DINOv2, 'base', 86_580_480),
        (DINOv2, 'giant', 1_136_480_768),
        (DINOv2, 'webdino_7b', 6_454_729_728),
        (TIPS, 'small', 21_924_480),
    ],
)
def test_published_parameter_counts_with_the_mask_token_that_no_dense_task_needs(network, arch, parameters):
    description = network.describe(arch)
    assert description.parameters + description.channels[0] == parameters


@pytest.mark.parametrize(
    ('arch', 'blocks'), [('large', (5, 11, 17, 23)), ('so400m', (6, 13, 20, 26)), ('giant', (9, 19, 29, 39))]
)
def test_maps_of_tips_are_those_of_its_authors_decoders(arch, blocks):
    assert TIPS.on_meta_device(arch=arch).out_indices == blocks


def test_chunked_blocks_of_training_checkpoints_load():
    network = DINOv2(arch=PROBE, image_size=56)
    state = {key.replace('blocks.', 'blocks.0.'): value for key, value in network.state_dict().items()}
    left = network.load_state_dict(state)
    assert not left.missing_keys
    assert not left.unexpected_keys


def test_timms_layout_of_registers_loads():
    network = DINOv2(arch=PROBE, image_size=56, registers=4)
    state = network.state_dict()
    state['reg_token'] = torch.ones_like(state.pop('patch_embed.register_tokens'))
    state['pos_embed'] = state.pop('patch_embed.positions.table')[:, 1:]
    network.load_state_dict(state)
    assert (network.patch_embed.register_tokens == 1).all()
    assert not network.patch_embed.positions.table[:, 0].any()


def test_registers_change_the_rule_of_positions():
    plain, registered = (DINOv2(arch=PROBE, image_size=56, registers=n) for n in (0, 4))
    registered.load_state_dict(plain.state_dict(), strict=False)
    a, b = (network.patch_embed.positions for network in (plain, registered))
    assert torch.equal(a((4, 4)), b((4, 4)))
    assert not torch.allclose(a((3, 5)), b((3, 5)))


@torch.no_grad()
def test_positions_are_resized_exactly_under_autocast_and_not_left_over_from_it():
    table = DINOv2(arch=PROBE, image_size=56).eval().patch_embed.positions
    with torch.autocast('cpu', torch.bfloat16):
        under_autocast = table((3, 5))
    assert torch.equal(under_autocast, table((3, 5)))
    table.eval()  # forgets what it made
    assert torch.equal(under_autocast, table((3, 5)))


@torch.no_grad()
def test_exports_once_for_sides_that_are_no_multiple_of_the_patch():
    network, sides = DINOv2(arch={**PROBE, 'blocks': 1}, image_size=56).eval(), {}
    for axis, name in ((2, 'rows'), (3, 'columns')):
        sides[axis] = torch.export.Dim(name, min=32, max=512)
    program = torch.export.export(network, (torch.randn(1, 3, 99, 64),), dynamic_shapes={'image': sides})
    image = torch.randn(1, 3, 51, 75)
    torch.testing.assert_close(program.module()(image)[-1], network(image)[-1], rtol=1e-4, atol=1e-4)


def test_images_are_padded_on_all_sides_on_request():
    """By as much on either side, or by a pixel more on the right and at the bottom: what its authors' heads see."""
    plain, centered = (DINOv2(arch=PROBE, image_size=56, center_pad=center).eval() for center in (False, True))
    centered.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 51, 70)
    with torch.no_grad():
        torch.testing.assert_close(centered(image)[-1], plain(F.pad(image, (0, 0, 2, 3)))[-1])


def test_maps_come_without_the_norm_on_request():
    normed, raw = (DINOv2(arch=PROBE, norm_outputs=norm).eval() for norm in (True, False))
    raw.load_state_dict(normed.state_dict())
    image = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        expected = normed.norm(raw(image)[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        torch.testing.assert_close(normed(image)[-1], expected)
