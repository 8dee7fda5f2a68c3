"""Polarized self-attention: the authors' outputs, both forms, and its place in a backbone."""

import pytest
import refkit
import torch
from mmdet.models.backbones import ResNet

from denseformer.plugins import PolarizedSelfAttention


def test_agrees_with_the_authors_code_under_the_authors_names():
    assert refkit.check(PolarizedSelfAttention(64, mode='sequential'), 'psa/psa_s') < 1e-4


def test_both_forms_have_the_published_numbers_of_parameters():
    counts = {
        mode: sum(p.numel() for p in PolarizedSelfAttention(64, mode=mode).parameters())
        for mode in ('parallel', 'sequential')
    }
    assert counts == {'parallel': 8256, 'sequential': 7064}


def test_the_parallel_form_adds_both_gated_maps():
    x = torch.randn(2, 16, 5, 7)
    module = PolarizedSelfAttention(16)
    gates = module(x) / x
    by_channel = module.channel(x) / x
    assert torch.allclose(by_channel, by_channel[:, :, :1, :1].expand_as(x), atol=1e-4)
    assert torch.allclose(gates - by_channel, (gates - by_channel)[:, :1].expand_as(x), atol=1e-4)


def test_mmdets_resnet_takes_it_behind_its_first_convolutions():
    cfg = dict(type='denseformer.PolarizedSelfAttention', mode='sequential')
    network = ResNet(50, plugins=[dict(cfg=cfg, stages=(True, False, False, False), position='after_conv1')])
    with torch.no_grad():
        assert network(torch.randn(2, 3, 32, 32))[0].shape == (2, 256, 8, 8)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match='Known: parallel, sequential'):
        PolarizedSelfAttention(16, mode='both')
    with pytest.raises(ValueError, match='from 8 on, not 6'):
        PolarizedSelfAttention(6)
