"""VCMamba: the four snakes, positions of any size, and the authors' keys."""

import pytest
import torch
from torch import Tensor

from denseformer.backbones import VCMamba
from denseformer.backbones.state_space.vcmamba import SnakeScan

MILLIONS = {'small': 9.960, 'medium': 20.266, 'base': 30.530}
SMALL = {'widths': (8, 8, 8, 16), 'depths': (1, 1, 1, 5)}
SNAKES = {(2, 2): ([0, 1, 3, 2], [2, 3, 1, 0], [0, 2, 3, 1], [1, 3, 2, 0])}
MOVES = {(2, 2): ([0, 1, 4, 2], [0, 1, 3, 2], [0, 4, 1, 3], [0, 4, 2, 3])}


@pytest.mark.parametrize('arch', VCMamba.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(VCMamba.describe(arch).parameters / 1e6, 3) == MILLIONS[arch]


def test_bottlenecks_and_projections_of_scans_start_narrow():
    torch.manual_seed(0)
    network = VCMamba(arch={'widths': (32, 32, 32, 64), 'depths': (1, 1, 1, 5)})
    scanning = network.stages[3].blocks[4]
    narrow = [network.stages[0].blocks[0].mlp.fc1.conv, scanning.mlp.fc2.conv]
    for weight in (*(conv.weight for conv in narrow), scanning.attn.scan.x_proj):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not scanning.attn.scan.dt_bias.any()
    assert network.patch_embed.conv2.conv.weight.std().item() == pytest.approx((16 * 9) ** -0.5, rel=0.05)


def scan_one_walk(mixer: SnakeScan, tokens: Tensor, order: list[int], came: list[int]) -> Tensor:
    """The definition, step by step: only the tokens and what came before them follow the walk. (L, D) -> (L, D)."""
    scan = mixer.scan
    delta, entry, readout = (part[0] for part in scan.project(tokens[None]))
    dt = torch.nn.functional.softplus(delta + 2 * scan.dt_bias)
    state, out = torch.zeros_like(scan.A_log), torch.empty_like(tokens)
    for step, position in enumerate(order):
        x = tokens[position]
        b = entry[step] + mixer.moves[came[step]]
        state = (dt[step, :, None] * -scan.A_log.exp()).exp() * state + (dt[step] * x)[:, None] * b
        out[position] = state @ readout[step] + scan.D * x
    return out


@torch.no_grad()
def test_scans_four_snakes_whose_parameters_stay_in_the_order_of_rows():
    mixer, tokens = SnakeScan(4), torch.randn(4, 8)
    walks = zip(SNAKES[2, 2], MOVES[2, 2], strict=True)
    expected = sum(scan_one_walk(mixer, tokens, order, came) for order, came in walks)
    torch.testing.assert_close(mixer.scan_snakes(tokens[None], (2, 2))[0], expected)


@torch.no_grad()
def test_positions_are_added_before_the_first_scan_and_resized_to_other_maps():
    stage = VCMamba(arch=SMALL, image_size=64).eval().stages[3]
    stage.pos_embed.fill_(0.5)
    maps: list[Tensor] = []
    stage.blocks[0].register_forward_hook(lambda _, inputs, out: maps.append(out))
    stage.blocks[1].register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
    stage(torch.randn(1, 8, 6, 10))
    torch.testing.assert_close(maps[1] - maps[0], torch.full((1, 16, 3, 5), 0.5))


def test_an_imagenet_checkpoint_loads_without_its_classifier_and_with_its_positions_resized():
    network = VCMamba(arch=SMALL, image_size=96)
    positions = torch.randn(1, 16, 7, 7)
    checkpoint = {
        'patch_embed.4.bias': torch.full((8,), 1.0),
        'network.1.proj.bias': torch.full((8,), 2.0),
        'network.4.0.layer_scale_2': torch.full((8, 1, 1), 3.0),
        'network.6.0.mlp.mid_norm.bias': torch.full((64,), 4.0),
        'network.6.1.norm.bias': torch.full((16,), 5.0),
        'network.6.4.mamba.direction_Bs': torch.full((5, 16), 6.0),
        'network.6.4.mamba.dt_proj.bias': torch.full((32,), 7.0),
        'pos_embed': positions,
        'dist_head.weight': torch.ones(1000, 16),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed.conv2.norm.bias == 1).all()
    assert (network.stages[1].downsample.proj.bias == 2).all()
    assert (network.stages[2].blocks[0].gamma2 == 3).all()
    assert (network.stages[3].blocks[0].mlp.mid.norm.bias == 4).all()
    assert (network.stages[3].blocks[1].norm1.bias == 5).all()
    assert (network.stages[3].blocks[4].attn.moves == 6).all()
    assert (network.stages[3].blocks[4].attn.scan.dt_bias == 7).all()
    expected = torch.nn.functional.interpolate(positions, (3, 3), mode='bicubic')
    torch.testing.assert_close(network.stages[3].pos_embed.data, expected)
