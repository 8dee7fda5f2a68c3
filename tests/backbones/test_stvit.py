"""STViT: super tokens."""

import pytest
import refkit
import torch

from denseformer.attention.neighbors_3x3 import fold_3x3, shifts_3x3
from denseformer.attention.super_tokens import gather_super_tokens, scatter_super_tokens
from denseformer.backbones import STViT

PARAMETERS = {'small': 23_943_264, 'base': 50_138_928, 'large': 93_287_664}


@pytest.mark.parametrize('arch', PARAMETERS)
def test_variants_have_the_published_parameters(arch):
    assert STViT.describe(arch).parameters == PARAMETERS[arch]


def test_layer_scales_agree_with_the_authors_code():
    arch = {'widths': (32, 64, 96, 128), 'depths': (1, 1, 2, 1), 'heads': (1, 2, 3, 4)}
    assert refkit.check(STViT(arch=arch), 'stvit/probe_d1121') < 1e-4


def test_equal_pixels_keep_their_value_away_from_the_border():
    x = torch.full((1, 20, 24, 6), 3.0)
    tokens, shares = gather_super_tokens(x, 4)
    torch.testing.assert_close(tokens, torch.full((1, 5, 6, 6), 3.0))
    torch.testing.assert_close(scatter_super_tokens(tokens, shares, 4)[:, 4:-4, 4:-4], x[:, 4:-4, 4:-4])


def test_associations_take_no_gradient():
    x = torch.randn(1, 8, 8, 4, requires_grad=True)
    tokens, shares = gather_super_tokens(x, 4)
    assert tokens.requires_grad
    assert not shares.requires_grad


def test_spreading_is_the_adjoint_of_looking_around():
    x, y = torch.randn(2, 4, 5, 3), torch.randn(2, 4, 5, 9, 3)
    around = torch.stack(list(shifts_3x3(x)), 3)
    torch.testing.assert_close((around * y).sum(), (x * fold_3x3(y)).sum())


def test_cells_can_be_chosen_and_carry_no_parameters():
    usual, coarse = STViT(), STViT(cells=(16, 8, 2, 1))
    assert set(usual.state_dict()) == set(coarse.state_dict())
    with pytest.raises(ValueError, match='one positive side per stage'):
        STViT(cells=(8, 4))


def test_an_imagenet_checkpoint_loads_its_projections_from_head_by_head():
    network = STViT()
    by_head = torch.arange(2 * 3 * 64.0)[:, None, None, None].expand(-1, 128, 1, 1)  # (h, 3, d) rows of stage 2
    official = {
        'layers.1.blocks.0.attn.stoken_refine.qkv.weight': by_head,
        'layers.1.blocks.0.attn.fold.weights': torch.zeros(9, 1, 3, 3),
        'proj.weight': torch.zeros(1024, 512, 1, 1),
        'norm.running_mean': torch.zeros(1024),
        'head.weight': torch.zeros(1000, 1024),
    }
    assert not network.load_state_dict(official, strict=False).unexpected_keys
    rows = network.stages[1].blocks[0].attn.qkv.weight[:, 0].view(3, 2, 64)  # (3, h, d)
    assert rows[:, :, 0].tolist() == [[0, 192], [64, 256], [128, 320]]
