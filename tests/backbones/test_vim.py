"""Vim: scans both ways, rotations, the maps it returns, and the authors' keys."""

import pytest
import torch

from denseformer.attention.rotary import resized_rotation, rotate
from denseformer.backbones import Vim
from denseformer.backbones.state_space.vim import CausalConv, TwoWayMamba

MILLIONS = {'tiny': 7.557, 'small': 27.500, 'base': 104.546}
SMALL = {'width': 16, 'depths': (1, 2, 1, 1), 'rope': True}


@pytest.mark.parametrize('arch', Vim.archs)
def test_has_the_published_number_of_parameters_but_for_the_unused_norm(arch):
    assert round((Vim.describe(arch).parameters + Vim.archs[arch].width) / 1e6, 3) == MILLIONS[arch]


def test_weights_start_as_the_authors_draw_them_for_imagenet():
    torch.manual_seed(0)
    network = Vim(arch={'width': 64, 'depths': (1, 1, 1, 1)}, image_size=64)
    mixer = network.stages[0].blocks[0].attn
    uniform = (3 * 128) ** -0.5
    assert mixer.out_proj.weight.std().item() == pytest.approx(uniform / 4**0.5, rel=0.05)
    assert mixer.scans[0].x_proj.std().item() == pytest.approx(uniform, rel=0.05)
    steps = torch.nn.functional.softplus(mixer.scans[1].dt_bias)
    assert 1e-3 <= steps.min() < 3e-3
    assert 3e-2 < steps.max() <= 0.1 + 1e-6
    assert network.patch_embed.proj.weight.std().item() == pytest.approx((3 * 16 * 16) ** -0.5, rel=0.05)
    assert network.patch_embed.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)


@torch.no_grad()
def test_the_convolution_looks_back_three_tokens_and_never_ahead():
    conv, x = CausalConv(4), torch.randn(1, 9, 4)
    before = conv(x)
    x[0, 4] += 1
    changed = (conv(x) - before).abs().sum(-1)[0].nonzero().flatten().tolist()
    assert changed == [4, 5, 6, 7]


def test_every_position_reaches_every_other():
    mixer, x = TwoWayMamba(16, depth=1), torch.randn(1, 3, 4, 16, requires_grad=True)
    (grad,) = torch.autograd.grad(mixer(x)[0, 1, 2].square().sum(), x)
    assert grad.abs().sum((0, 3)).all()


def test_rotations_count_positions_as_in_training():
    x = torch.randn(1, 6, 6, 16, dtype=torch.float64)
    pairs = torch.view_as_complex(x.unflatten(-1, (8, 2)))
    turns = torch.arange(6) / 6 * 14
    frequency = torch.tensor([1 / 10000 ** (j / 4) for j in range(4)])
    rows, columns = turns[:, None, None] * frequency, turns[None, :, None] * frequency
    angle = torch.cat([rows.expand(6, 6, 4), columns.expand(6, 6, 4)], -1)
    expected = torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(-2)
    rotation = resized_rotation((6, 6), 14, 16, torch.device('cpu'))
    torch.testing.assert_close(rotate(x, rotation), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_maps_are_what_the_last_mixer_of_each_part_adds():
    network = Vim(arch=SMALL, image_size=64).eval()
    added: list[torch.Tensor] = []
    network.stages[2].blocks[0].attn.register_forward_hook(lambda _, __, out: added.append(out))
    maps = network(torch.randn(1, 3, 64, 64))
    assert torch.equal(maps[2], added[0].permute(0, 3, 1, 2))


def test_maps_end_where_the_image_does():
    shapes = [tuple(m.shape[2:]) for m in Vim(arch=SMALL, image_size=64).eval()(torch.randn(1, 3, 65, 97))]
    assert shapes == [(17, 25), (9, 13), (5, 7), (2, 3)]


def test_an_imagenet_checkpoint_loads_without_its_classifier_and_the_position_of_its_class_token():
    network = Vim(arch=SMALL, image_size=64)
    positions = torch.randn(1, 17, 16)
    checkpoint = {
        'pos_embed': positions,
        'cls_token': torch.ones(1, 1, 16),
        'patch_embed.proj.bias': torch.full((16,), 1.0),
        'layers.2.mixer.A_b_log': torch.full((32, 16), 2.0),
        'layers.2.mixer.conv1d_b.bias': torch.full((32,), 3.0),
        'layers.2.mixer.dt_proj.bias': torch.full((32,), 4.0),
        'layers.3.mixer.x_proj.weight': torch.full((33, 32), 5.0),
        'layers.4.norm.weight': torch.full((16,), 6.0),
        'rope.freqs_cos': torch.ones(16, 16),
        'norm_f.weight': torch.ones(16),
        'head.weight': torch.ones(1000, 16),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    kept = torch.cat([positions[0, :8], positions[0, 9:]]).view(4, 4, 16)
    assert torch.equal(network.patch_embed.pos_embed.data, kept)
    assert (network.patch_embed.proj.bias == 1).all()
    block = network.stages[1].blocks[1]
    assert (block.attn.scans[1].A_log == 2).all()
    assert (block.attn.convs[1].bias == 3).all()
    assert (block.attn.scans[0].dt_bias == 4).all()
    assert (network.stages[2].blocks[0].attn.scans[0].x_proj == 5).all()
    assert (network.stages[3].blocks[0].norm1.weight == 6).all()


def test_the_class_token_of_an_odd_map_stands_behind_the_smaller_half():
    network = Vim(arch=SMALL, image_size=48)
    positions = torch.randn(1, 10, 16)  # of 9 patches, 4 of them in front of the class token
    network.load_state_dict({'pos_embed': positions, 'cls_token': torch.ones(1, 1, 16)}, strict=False)
    kept = torch.cat([positions[0, :4], positions[0, 5:]]).view(3, 3, 16)
    assert torch.equal(network.patch_embed.pos_embed.data, kept)


@torch.no_grad()
def test_the_detectors_map_is_the_sum_behind_the_last_block_with_rotated_tokens():
    torch.manual_seed(0)
    arch = {**SMALL, 'rope': False}
    network = Vim(arch=arch, image_size=64, rope=True, pyramid=False, out_indices=(3,)).eval()
    image = torch.randn(1, 3, 50, 64)
    (out,) = network(image)
    x = network.patch_embed(image)
    for column in network.stages:
        for block in column.blocks:
            x = rotate(x, resized_rotation((4, 4), 14, 16, x.device))
            x = x + block.attn(block.norm1(x))
    assert network.out_strides == (16,)
    torch.testing.assert_close(out, x.permute(0, 3, 1, 2))


@torch.no_grad()
def test_the_small_variants_maps_are_the_sums_that_the_next_block_reads():
    torch.manual_seed(0)
    network = Vim(arch={**SMALL, 'sums': True}, image_size=64).eval()
    assert Vim.archs['small'].sums
    read, image = [], torch.randn(1, 3, 64, 64)
    for column in network.stages[1:]:
        column.blocks[0].norm1.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    maps = network(image)
    levels = [level(x.permute(0, 3, 1, 2)) for level, x in zip(network.out_norms, read, strict=False)]
    for found, expected in zip(maps[:3], levels, strict=True):
        torch.testing.assert_close(found, expected)
    sums = Vim(arch={**SMALL, 'sums': True}, image_size=64, pyramid=False).eval()
    sums.load_state_dict(network.state_dict(), strict=False)
    torch.testing.assert_close(maps[3], network.out_norms[3](sums(image)[3]))
