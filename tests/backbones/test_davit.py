import pytest
import torch

from denseformer.attention.channel import channel_attention
from denseformer.backbones import DaViT


@pytest.mark.parametrize(('arch', 'millions'), [('tiny', 27.59), ('small', 48.98), ('base', 86.93)])
def test_variants_have_the_published_number_of_parameters(arch, millions):
    assert DaViT.describe(arch).parameters / 1e6 == pytest.approx(millions, abs=0.01)


def test_channel_attention_mixes_channels_of_queries_by_how_keys_and_values_agree():
    q, k, v = (torch.randn(2, 3, 50, 4, dtype=torch.double) for _ in range(3))
    out = channel_attention(q, k, v)
    weights = torch.softmax(k[1, 2, :, 0] @ v[1, 2] / 2, dim=0)  # of output channel 0
    torch.testing.assert_close(out[1, 2, :, 0], q[1, 2] @ weights)


def test_any_window_takes_the_same_checkpoint():
    source, network = DaViT(arch='tiny'), DaViT(arch='tiny', window_size=12)
    assert not network.load_state_dict(source.state_dict()).missing_keys


def test_imagenet_checkpoint_loads_without_its_classifier():
    source, network = DaViT(arch='tiny'), DaViT(arch='tiny')
    block = source.stages[2].blocks[5]
    checkpoint = {
        'main_blocks.2.2.1.cpe.1.proj.weight': block.mlp_pos_embed.weight,
        'main_blocks.2.2.1.attn.qkv.weight': block.attn.qkv.weight,
        'patch_embeds.2.norm.weight': torch.full((192,), 3.0),
        'norms.weight': torch.ones(768),
        'head.bias': torch.ones(1000),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert torch.equal(network.stages[2].blocks[5].mlp_pos_embed.weight, block.mlp_pos_embed.weight)
    assert torch.equal(network.stages[2].blocks[5].attn.qkv.weight, block.attn.qkv.weight)
    assert (network.stages[2].downsample.norm.weight == 3).all()


def test_its_recipe_decays_every_parameter():
    assert all(role.decay for role in DaViT(arch='tiny').param_groups().values())
