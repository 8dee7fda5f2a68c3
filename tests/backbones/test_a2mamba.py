"""A2Mamba: dilations that grow with the map, states gathered by attention, and the authors' keys."""

import pytest
import torch

from denseformer.backbones import A2Mamba
from denseformer.backbones.state_space.a2mamba import PairBias, ScanMixer, TwoReaches

MILLIONS = {'nano': 4.195, 'tiny': 15.366, 'small': 30.673, 'base': 51.134, 'large': 93.737}
SMALL = {'widths': (16, 16, 16, 32), 'depths': (1, 1, 1, 1), 'heads': (2, 2, 2, 4)}


def head(width: int, hidden: int = 1024, classes: int = 1000) -> int:
    """Parameters of the authors' classifier: a layer with BatchNorm, and the last one."""
    return (width + 1) * hidden + 2 * hidden + (hidden + 1) * classes


@pytest.mark.parametrize('arch', A2Mamba.archs)
def test_has_the_published_number_of_parameters_but_for_the_head(arch):
    parameters = A2Mamba.describe(arch).parameters + head(A2Mamba.archs[arch].widths[-1])
    assert round(parameters / 1e6, 3) == MILLIONS[arch]


def test_the_dilation_fits_the_neighborhood_into_the_map_and_stays_below_its_side():
    reaches = TwoReaches(2, 7)
    assert [int(reaches.dilation(side)) for side in (1, 7, 13, 14, 48, 49, 500)] == [1, 1, 1, 2, 6, 7, 7]


@torch.no_grad()
def test_half_of_the_heads_see_near_and_the_others_far():
    reaches = TwoReaches(2, 3)
    q, k, v = torch.randn(3, 1, 12, 12, 2, 8).unbind(0)
    before = reaches(q, k, v)
    v[0, 5, 5] += 1
    near, far = (reaches(q, k, v) - before).abs().sum((0, 4)).unbind(-1)
    assert near.nonzero().unique().tolist() == [4, 5, 6]
    assert far.nonzero().unique().tolist() == [2, 5, 8, 11]  # the last one's neighborhood is moved inwards


def test_states_of_later_positions_reach_earlier_ones_through_attention():
    mixer = ScanMixer(16, 2, 3).eval()
    x = torch.randn(1, 16, 6, 6)
    scan = mixer.scan
    x = x.permute(0, 2, 3, 1).requires_grad_()
    q = torch.randn(1, 6, 6, 2, 8)
    (alone,) = torch.autograd.grad(scan(x, lambda states: states)[0, 0, 0].sum(), x)
    (gathered,) = torch.autograd.grad(scan(x, lambda states: mixer.reaches(q, q, states))[0, 0, 0].sum(), x)
    assert not alone[0, 5].any()
    assert gathered[0, 5].any()


@torch.no_grad()
def test_the_bias_of_all_pairs_is_resized_as_an_image_and_follows_its_table():
    bias = PairBias(2).eval()
    torch.nn.init.normal_(bias.table)
    assert torch.equal(bias(49, torch.float32), bias.table)
    expected = torch.nn.functional.interpolate(bias.table, (20, 20), mode='bicubic')
    assert torch.equal(bias(20, torch.float32), expected)
    bias.table.add_(1)
    torch.testing.assert_close(bias(20, torch.float32), expected + 1)


def test_an_imagenet_checkpoint_loads_without_its_classifier():
    network = A2Mamba(arch=SMALL | {'scaled': (None, None, 'input', 'input')})
    checkpoint = {
        'patch_embed.9.weight': torch.full((16, 16, 3, 3), 1.0),
        'layers.5.1.bias': torch.full((32,), 2.0),
        'layers.2.rope.angle': torch.ones(4),
        'layers.2.blocks.0.token_mixer.rpb.0': torch.full((1, 17, 17), 3.0),
        'layers.2.blocks.0.token_mixer.rpb.1': torch.full((1, 17, 17), 3.0),
        'layers.4.blocks.0.layer_scale2.weight': torch.full((16, 1, 1, 1), 4.0),
        'layers.4.blocks.0.token_mixer.ssm.Ds': torch.full((16,), 5.0),
        'layers.6.blocks.0.mlp.fc2.weight': torch.full((32, 96, 1, 1), 6.0),
        'classifier.4.weight': torch.ones(1000, 1024, 1, 1),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed.convs[3].conv.weight == 1).all()
    assert (network.stages[3].downsample.norm.bias == 2).all()
    assert (network.stages[1].blocks[0].attn.reaches.rpb == 3).all()
    assert (network.stages[2].blocks[0].scale2.weight == 4).all()
    assert (network.stages[2].blocks[0].attn.scan.scan.D == 5).all()
    assert (network.stages[3].blocks[0].mlp.fc2.weight == 6).all()
