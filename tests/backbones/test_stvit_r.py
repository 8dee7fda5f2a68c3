"""STViT-R: semantic tokens in the third stage, whom their keys are masked for, and its checkpoints."""

import pytest
import torch

from denseformer.backbones import STViTR
from denseformer.backbones.windows.stvit_r import RestoreBlock, SemanticBlock, TokenBlock, key_mask, pool_tokens

TINY = {'width': 16, 'heads': (1, 1, 2, 2), 'depths': (1, 1, 1, 1)}
CPU = torch.device('cpu')


@pytest.mark.parametrize(('arch', 'parameters'), [('swin_small', 48_857_862), ('swin_base', 86_789_128)])
def test_has_the_published_number_of_parameters(arch, parameters):
    assert STViTR.describe(arch).parameters == parameters


def test_the_third_stage_has_three_rounds_of_six_blocks():
    blocks = STViTR.on_meta_device(arch='swin_small').stages[2].blocks
    assert len(blocks) == 18
    for first in (0, 6, 12):
        _, collect, refine, local, whole, restore = blocks[first : first + 6]
        assert [type(b) for b in (collect, refine)] == [SemanticBlock] * 2
        assert (collect.region, refine.region) == (14, 21)
        assert [type(b) for b in (local, whole)] == [TokenBlock] * 2
        assert (local.local, whole.local) == (True, False)
        assert isinstance(restore, RestoreBlock)


def test_semantic_tokens_are_the_maxima_of_overlapping_parts_of_a_window():
    x = torch.randn(1, 10, 7, 3)
    tokens = pool_tokens(x)
    assert tokens.shape == (1, 2, 9, 3)
    torch.testing.assert_close(tokens[0, 0, 5], x[0, 2:5, 4:7].amax((0, 1)))
    torch.testing.assert_close(tokens[0, 1, 0], x[0, 7:10, :3].amax((0, 1)).clamp(min=-9))


@pytest.mark.parametrize(
    ('padding', 'masked'),
    [
        ((0, 0), []),
        ((2, 0), [(5, 0), (5, 6), (6, 3)]),
        ((0, 3), [(0, 4), (6, 6)]),
        ((2, 3), [(5, 4), (6, 6)]),
    ],
)
def test_keys_are_masked_as_in_the_published_models(padding, masked):
    side = 14
    mask = key_mask((7, 7), padding, side, 7, CPU).view(side, side)
    inside = mask[3:10, 3:10]
    for position in masked:
        assert inside[position] == -1000
    assert inside[0, 0] == 0
    if padding == (0, 0):
        assert not mask.any()
    else:
        assert (mask[0] == -1000).all()
        assert int((inside == 0).sum()) == {(2, 0): 35, (0, 3): 28, (2, 3): 43}[padding]


def test_a_classification_checkpoint_loads_without_the_positions_of_its_tokens():
    network = STViTR(arch=TINY)
    checkpoint = {
        'patch_embed.proj.0.c.weight': torch.full((8, 3, 3, 3), 2.0),
        'patch_embed.proj.2.bn.running_mean': torch.full((16,), 3.0),
        'layers.2.blocks.0.attn.relative_position_bias_table': torch.full((169, 2), 4.0),
        'layers.2.blocks.1.layer_scale_2': torch.full((64,), 5.0),
        'layers.2.blocks.3.attn.relative_position_bias_table': torch.ones(25, 2),
        'layers.2.blocks.5.attn.kv.weight': torch.full((128, 64), 6.0),
        'layers.2.semantic_token2': torch.ones(1, 81, 64),
        'layers.0.blocks.1.attn_mask': torch.ones(64, 49, 49),
        'norm.weight': torch.ones(128),
        'head.weight': torch.ones(1000, 128),
    }
    assert not network.load_state_dict(checkpoint, strict=False).unexpected_keys
    assert (network.patch_embed[0].conv.weight == 2).all()
    assert (network.patch_embed[1].norm.running_mean == 3).all()
    blocks = network.stages[2].blocks
    assert (blocks[0].attn.bias.table == 4).all()
    assert (blocks[1].gamma2 == 5).all()
    assert (blocks[5].attn.kv.weight == 6).all()
