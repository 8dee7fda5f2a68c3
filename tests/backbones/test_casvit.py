"""CAS-ViT: its gates, and the flat layout of its checkpoints."""

import pytest
import torch

from denseformer.backbones import CASViT
from denseformer.backbones.light.casvit import Gates

THOUSANDS = {'xs': 2759, 's': 5251, 'm': 11652, 't': 20738}
SMALL = {'widths': (8, 16, 24, 32), 'depths': (1, 1, 1, 1)}


@pytest.mark.parametrize('arch', CASViT.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(CASViT.describe(arch).parameters / 1e3) == THOUSANDS[arch]


def test_gates_weigh_positions_alike_in_all_channels_and_channels_alike_at_all_positions():
    gates = Gates(4).eval()
    gain = gates(x := torch.rand(1, 4, 5, 6) + 1) / x
    assert ((gain > 0) & (gain < 1)).all()
    per_position = gain / gain[:, :1]  # what is left is the ratio of two channels' gains
    torch.testing.assert_close(per_position, per_position.mean((2, 3), keepdim=True).expand_as(gain))


def test_a_checkpoint_numbers_stages_and_embeddings_in_one_list():
    network = CASViT(arch=SMALL)
    checkpoint = {
        'patch_embed.0.bias': torch.full((4,), 2.0),
        'patch_embed.4.running_mean': torch.full((8,), 3.0),
        'network.0.0.local_perception.network.1.bias': torch.full((8,), 4.0),
        'network.1.proj.bias': torch.full((16,), 5.0),
        'network.1.norm.bias': torch.full((16,), 6.0),
        'network.6.0.attn.oper_k.1.block.1.weight': torch.full((32, 32, 1, 1), 7.0),
        'network.6.0.mlp.fc1.weight': torch.full((128, 32, 1, 1), 8.0),
        'norm6.bias': torch.full((32,), 9.0),
        'norm.weight': torch.ones(32),
        'head.weight': torch.ones(1000, 32),
        'dist_head.weight': torch.ones(1000, 32),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed[0].conv.bias == 2).all()
    assert (network.patch_embed[1].norm.running_mean == 3).all()
    assert (network.stages[0].blocks[0].pos_embed.conv1.norm.bias == 4).all()
    assert (network.stages[1].downsample.conv.bias == 5).all()
    assert (network.stages[1].downsample.norm.bias == 6).all()
    assert (network.stages[3].blocks[0].attn.gate_k.channel.weight == 7).all()
    assert (network.stages[3].blocks[0].mlp.fc1.weight == 8).all()
    assert (network.out_norms[3].bias == 9).all()
