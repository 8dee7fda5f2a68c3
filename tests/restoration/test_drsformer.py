"""DRSformer: attention to the most alike channels, experts."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.attention.channel import top_k_mixture
from denseformer.restoration.networks import DRSformer
from denseformer.restoration.networks.drsformer import Experts, PairConv, SeparableExpert

SMALL = {'dim': 32, 'blocks': (1, 1), 'heads': (1, 2), 'expansion': 2.66}


@pytest.mark.parametrize(('experts', 'parameters'), [(True, 33_655_424), (False, 32_610_304)])
def test_parameter_counts_are_the_published_ones(experts, parameters):
    assert DRSformer.describe('base', experts=experts).parameters == parameters


@pytest.mark.parametrize('experts', [True, False])
def test_whether_there_are_experts_is_read_from_the_weights(experts):
    weights = DRSformer.on_meta_device(experts=experts).state_dict()
    assert DRSformer.infer_options(weights) == {'arch': 'base', 'in_channels': 3, 'experts': experts}


def test_a_custom_arch_is_read_from_the_weights():
    weights = DRSformer(arch=SMALL, experts=False).state_dict()
    assert DRSformer.infer_options(weights)['arch'] == SMALL


def test_softmaxes_over_the_largest_entries_are_added_up():
    logits, gains, counts = torch.randn(2, 3, 6, 6), torch.tensor([0.2, -0.5, 1.0]), (1, 3, 5)
    expected = torch.zeros_like(logits)
    for gain, count in zip(gains, counts, strict=True):
        smallest = logits.topk(count).values[..., -1:]
        expected += gain * logits.masked_fill(logits < smallest, float('-inf')).softmax(-1)
    torch.testing.assert_close(top_k_mixture(logits, counts, gains), expected)


@pytest.mark.parametrize('size', [3, 5])
def test_pairs_of_channels_are_convolved_as_by_a_grouped_convolution(size):
    conv = PairConv(7, size)
    x = torch.randn(2, 14, 6, 5)
    expected = F.conv2d(x, conv.weight, padding=size // 2, groups=7)
    torch.testing.assert_close(conv(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), expected, rtol=1e-4, atol=1e-5)


def test_experts_are_weighted_and_merged_as_if_one_by_one():
    torch.manual_seed(0)
    experts, x = Experts(8, steps=2), torch.randn(2, 9, 7, 8)
    shares = experts.gate2(experts.gate1(x.mean((1, 2))).relu()).view(2, 2, 8).softmax(-1)
    expected = experts.proj(x).relu()
    for i, step in enumerate(experts.steps):
        outs = [expert(expected) for expert in step.experts]
        channel_first = expected.permute(0, 3, 1, 2)
        outs.append(F.avg_pool2d(channel_first, 3, 1, 1, count_include_pad=False).permute(0, 2, 3, 1))
        outs = [out * shares[:, i, k].view(-1, 1, 1, 1) for k, out in enumerate(outs)]
        expected = (expected + step.merge(torch.cat(outs, -1)).relu()).relu()
    torch.testing.assert_close(experts(x), expected, rtol=1e-4, atol=1e-5)
    assert sum(isinstance(expert, SeparableExpert) for expert in experts.steps[0].experts) == 4
