"""FAN: published sizes, the pooling of tokens, the diversification loss and how it reaches training."""

import pytest
import refkit
import torch
import torch.nn.functional as F

from denseformer.backbones import FAN
from denseformer.backbones.global_attention.fan import (
    TokenAttention,
    TokenAwarePooling,
    UnbiasedLayerNorm,
    diversification_loss,
    neighborhood_mean,
)

TINY = {'width': 16, 'heads': 2, 'depths': (1, 1, 2, 0), 'stem': (8, 16)}
PUBLISHED = {
    'small': 27_959_568,
    'base': 53_900_424,
    'tiny_hybrid': 7_273_856,
    'large_hybrid': 76_373_180,
}


@pytest.mark.parametrize('arch', PUBLISHED)
def test_has_the_published_number_of_parameters_without_what_only_the_class_token_uses(arch):
    width = FAN.archs[arch].width
    class_token = 2 * (12 * width**2 + 10 * width) + width
    assert FAN.describe(arch).parameters == PUBLISHED[arch] - class_token


def test_networks_without_convnext_have_four_maps_of_one_stride():
    assert FAN.describe('base').strides == (16, 16, 16, 16)
    assert FAN.describe('base_hybrid').strides == (4, 8, 16, 16)


def test_the_last_map_of_detectors_is_downsampled_once_more_and_loads_under_its_authors_name():
    network = FAN(arch=TINY, feat_downsample=True).eval()
    assert (network.out_strides, network.out_channels) == ((4, 8, 16, 32), (8, 16, 16, 768))
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 64, 96))
    assert [m.shape[1:] for m in maps] == [(8, 16, 24), (16, 8, 12), (16, 4, 6), (768, 2, 3)]
    bias = torch.randn(768)
    names = {'pos_embed.token_projection.bias': torch.zeros(16), 'learnable_downsample.bias': bias}
    network.load_state_dict(names, strict=False)
    assert torch.equal(network.out_downsample.bias, bias)
    assert network.param_groups()['out_downsample.weight'].depth == network.depth + 1
    with pytest.raises(ValueError, match='hybrid'):
        FAN(arch='tiny', feat_downsample=True)


def test_layer_norm_takes_the_unbiased_variance():
    x, layer = torch.randn(5, 8), UnbiasedLayerNorm(8, eps=1e-3)
    expected = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-3).sqrt()
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize('dilation', [1, 3])
def test_the_mean_of_a_neighborhood_counts_what_lies_beyond_the_map_as_zeros(dilation):
    x = torch.randn(2, 5, 7, 4)
    patches = F.unfold(x.permute(0, 3, 1, 2), 3, dilation=dilation, padding=dilation)
    expected = patches.view(2, 4, 9, 5, 7).mean(2).permute(0, 2, 3, 1)
    torch.testing.assert_close(neighborhood_mean(x, dilation), expected)


@torch.no_grad()
def test_pooling_keeps_a_constant_map_away_from_its_border():
    x = torch.full((1, 9, 9, 4), 2.0)
    torch.testing.assert_close(TokenAwarePooling(4).eval()(x)[:, 3:6, 3:6], x[:, 3:6, 3:6])


def test_the_diversification_loss_agrees_with_the_authors_code():
    (run,) = refkit.load_reference('tapadl/adl')['runs']
    layers = [(3 * refkit.make_input({**run, 'seed': seed})).softmax(-1) for seed in (1, 2)]
    losses = [torch.stack([diversification_loss(x, threshold) for x in layers]).mean() for threshold in (0, 1, 2)]
    assert refkit.deviation([torch.stack(losses)], run['outputs']) < 1e-4


def test_attention_is_the_same_with_and_without_the_loss():
    attention, x = TokenAttention(16, 2), 20 * torch.randn(2, 3, 5, 16)
    out, none = attention(x, False)
    same, loss = attention(x, True)
    torch.testing.assert_close(out, same, rtol=1e-3, atol=1e-3)
    assert none is None
    assert 0 < loss <= 1


@pytest.mark.parametrize('with_cp', [False, True])
def test_the_diversification_loss_trains_queries_and_is_collected_once(with_cp):
    network = FAN(arch=TINY, attention_diversification=0.5, token_average_pooling=True, with_cp=with_cp).train()
    attention = network.stages[2].blocks[1].attn
    torch.nn.init.normal_(attention.q.weight)  # at first attention is nearly uniform, and no token stands out
    torch.nn.init.normal_(attention.kv.weight)
    network(torch.randn(2, 3, 64, 96))
    losses = network.auxiliary_losses()
    losses['loss_diversification'].backward()
    assert attention.q.weight.grad.abs().sum() > 0
    assert network.auxiliary_losses() == {}


def test_there_is_no_loss_unless_asked_for_and_none_while_predicting():
    image = torch.randn(1, 3, 64, 64)
    without = FAN(arch=TINY).train()
    without(image)
    predicting = FAN(arch=TINY, attention_diversification=1.0).eval()
    predicting(image)
    assert without.auxiliary_losses() == predicting.auxiliary_losses() == {}
