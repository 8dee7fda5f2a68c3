import pytest
import refkit
import torch

from denseformer.backbones import CrossFormer

MILLIONS = {'small': 29.89, 'base': 51.20, 'large': 90.94, 'pp_small': 22.81}


@pytest.mark.parametrize('arch', MILLIONS)
def test_has_the_published_number_of_parameters(arch):
    assert CrossFormer.describe(arch).parameters / 1e6 == pytest.approx(MILLIONS[arch], abs=0.005)


def test_takes_an_imagenet_checkpoint_whatever_the_group_sizes():
    shapes = refkit.load_reference('crossformer/crossformerpp_s')['shapes']
    classifier = {'norm.weight': [512], 'norm.bias': [512], 'head.weight': [1000, 512], 'head.bias': [1000]}
    classifier |= {f'layers.2.blocks.0.attn.{name}': [4] for name in ('biases', 'relative_position_index')}
    network = CrossFormer(arch='pp_small', group_sizes=(4, 4, 14, 7), intervals=(4, 2, 1, 1))
    left = network.load_state_dict(refkit.fill_state_dict({**shapes, **classifier}))
    assert not left.missing_keys
    assert not left.unexpected_keys


def test_padding_of_groups_is_never_attended_to():
    network = CrossFormer(arch='tiny', out_indices=(0,)).eval()
    network.stages[0].blocks[0].attn.interval = 3
    x = torch.randn(1, 20, 9, 64)
    with torch.no_grad():
        attention = network.stages[0].blocks[0].attn
        before = attention(x)
        attention.qkv.bias[64:] += 100  # would show through padded keys and values, and cancels in real ones
        attention.proj.bias -= attention.proj.weight @ attention.qkv.bias.new_full((64,), 100)
        torch.testing.assert_close(attention(x), before, rtol=1e-3, atol=1e-3)


def test_a_list_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match='4 entries'):
        CrossFormer(arch='tiny', group_sizes=(7, 7))
