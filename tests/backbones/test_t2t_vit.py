"""T2T-ViT: published sizes, the random features, positions, and the numbers of its blocks."""

import pytest
import refkit
import torch

from denseformer.backbones import T2TViT
from denseformer.backbones.plain.t2t_vit import FEATURES, PerformerAttention, sines

MILLIONS = {'7': 4.3, '10': 5.9, '12': 6.9, '14': 21.5, '19': 39.2, '24': 64.1}
TINY = {'width': 16, 'blocks': 2, 'heads': 2}


@pytest.mark.parametrize('arch', MILLIONS)
def test_has_the_published_number_of_parameters_with_a_classifier_and_constants(arch):
    width = T2TViT.archs[arch].width
    extra = (width + 1) * 1000 + 197 * width + 2 * FEATURES * 64
    assert (T2TViT.describe(arch).parameters + extra) / 1e6 == pytest.approx(MILLIONS[arch], abs=0.06)


@torch.no_grad()
def test_maps_agree_with_the_authors_code():
    reference = refkit.load_reference('t2t_vit/t2t_vit_7_64')
    state = refkit.fill_state_dict(reference['shapes'])
    ((part, factor),) = reference['scale'].items()
    network = T2TViT(arch='7', image_size=64).eval()
    left = network.load_state_dict({key: value * factor if part in key else value for key, value in state.items()})
    assert not left.missing_keys
    (run,) = reference['runs']
    assert refkit.deviation(list(network(refkit.make_input(run))), run['outputs']) < 1e-4


@torch.no_grad()
def test_random_features_approach_softmax_attention():
    torch.manual_seed(0)
    attention = PerformerAttention(8).double()
    attention.w = torch.randn(20000, 64, dtype=torch.float64)
    q, k = 0.3 * torch.randn(2, 1, 5, 64, dtype=torch.float64)
    approximate = attention.features(q) @ attention.features(k).transpose(1, 2)
    weights = approximate / approximate.sum(-1, keepdim=True)
    torch.testing.assert_close(weights, (q @ k.transpose(1, 2)).softmax(-1), rtol=0.5, atol=0.05)


def test_positions_are_sines_of_the_place_in_the_sequence():
    table = sines(4, 8, torch.device('cpu'))
    place = torch.arange(4.0)
    torch.testing.assert_close(table[:, 0], place.sin())
    torch.testing.assert_close(table[:, 3], (place / 10000**0.25).cos())


def test_tokens_before_the_transformer_are_block_0_which_has_no_class_token():
    network = T2TViT(arch=TINY, output_tokens=True)
    (first, none), (_, token) = network(torch.randn(1, 3, 32, 48))
    assert first.shape == (1, 16, 2, 3)
    assert none.shape == (1, 0, 16)
    assert token.shape == (1, 1, 16)


@torch.no_grad()
def test_squeezed_attention_is_gated_by_the_mean_of_all_tokens():
    network = T2TViT(arch={**TINY, 'squeezed': True})
    attention, plain = network.blocks[1].attn, T2TViT(arch=TINY).blocks[1].attn
    gates = {f'blocks.0.attn.se_layer.fc.{i}.weight': torch.randn(shape) for i, shape in ((0, (1, 16)), (2, (16, 1)))}
    left = network.load_state_dict({**gates, 'tokens_to_token.project.bias': torch.ones(16)}, strict=False)
    assert not left.unexpected_keys
    plain.load_state_dict(attention.state_dict(), strict=False)
    down, up = gates.values()
    x = torch.randn(2, 5, 16)
    attended = plain(x)
    gate = (attended.mean(1, keepdim=True) @ down.T).relu() @ up.T
    torch.testing.assert_close(attention(x), attended * gate.sigmoid())


def test_the_stride_is_no_option():
    with pytest.raises(ValueError, match='leave out patch_size'):
        T2TViT.on_meta_device(arch='7', patch_size=8)
