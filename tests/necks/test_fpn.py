"""The pyramid: mmdetection's where nothing finer is wanted, EfficientViT's where it is, and its refusals."""

import pytest
import refkit
import torch
from mmdet.models import necks as mmdet_necks
from torch import Tensor

from denseformer.necks import FPN, EfficientViTFPN
from denseformer.registry import MODELS

CHANNELS, STRIDES = (4, 6, 8, 10), (4, 8, 16, 32)


def maps(channels=CHANNELS, strides=STRIDES, size=(75, 101)) -> list[Tensor]:
    sides = [[-(-side // stride) for side in size] for stride in strides]
    return [torch.randn(2, width, *side) for width, side in zip(channels, sides, strict=True)]


@pytest.mark.parametrize(
    ('out_strides', 'extra_convs', 'theirs'),
    [
        ((4, 8, 16, 32, 64), False, dict(num_outs=5)),
        ((8, 16, 32, 64, 128), True, dict(num_outs=5, start_level=1, add_extra_convs='on_input')),
        ((8, 16, 32, 64, 128), 'of_level', dict(num_outs=5, start_level=1, add_extra_convs='on_output')),
        ((4, 8, 16, 32), False, dict(num_outs=4)),
    ],
)
def test_without_finer_levels_it_is_mmdetections(out_strides, extra_convs, theirs):
    own = FPN(
        in_channels=CHANNELS, in_strides=STRIDES, out_channels=8, out_strides=out_strides, extra_convs=extra_convs
    )
    other = mmdet_necks.FPN(list(CHANNELS), 8, **theirs)
    own.load_state_dict(other.state_dict())
    inputs = maps()
    for a, b in zip(own(inputs), other(inputs), strict=True):
        torch.testing.assert_close(a, b)


def test_finer_levels_agree_with_the_authors_code():
    neck = MODELS.build(
        dict(
            type='denseformer.EfficientViTFPN',
            in_channels=[224, 336, 448],
            out_channels=256,
            num_outs=5,
            num_extra_trans_convs=2,
        )
    )

    def forward(network: EfficientViTFPN, x: Tensor) -> tuple[Tensor, ...]:
        return network([x[:, :width, :: 2**i, :: 2**i] for i, width in enumerate(network.in_channels)])

    assert refkit.check(neck, 'shvit/neck_efficientvitfpn_s4', forward) < 1e-5


def test_the_same_follows_from_strides():
    theirs = EfficientViTFPN(in_channels=(4, 6, 8), out_channels=8, num_outs=5, num_extra_trans_convs=2)
    own = FPN(in_channels=(4, 6, 8), in_strides=(16, 32, 64), out_channels=8, out_strides=(4, 8, 16, 32, 64))
    own.load_state_dict(theirs.state_dict())
    inputs = maps((4, 6, 8), (16, 32, 64))
    for a, b in zip(own(inputs), theirs(inputs), strict=True):
        assert torch.equal(a, b)


def test_finer_levels_double_the_finest_map():
    neck = FPN(in_channels=(4, 6), in_strides=(8, 16), out_channels=8, out_strides=(2, 4, 8, 16))
    levels = neck(maps((4, 6), (8, 16)))
    assert [tuple(level.shape[2:]) for level in levels] == [(40, 52), (20, 26), (10, 13), (5, 7)]


def test_every_parameter_takes_part():
    neck = FPN(
        in_channels=(4, 6), in_strides=(16, 32), out_channels=8, out_strides=(4, 8, 16, 32, 64, 128), extra_convs=True
    )
    neck.init_weights()
    sum(level.square().sum() for level in neck(maps((4, 6), (16, 32)))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in neck.parameters())


@pytest.mark.parametrize(
    ('in_strides', 'out_strides', 'message'),
    [
        ((4, 8), (4, 8), 'differ in number'),
        ((4, 8, 32), (4, 8, 16, 32), 'in_strides must be strides each twice'),
        ((4, 8, 16), (4, 16), 'out_strides must be strides each twice'),
        ((4, 8, 16), (4, 8), 'must hold 16'),
        ((4, 8, 16), (32, 64), 'must hold 16'),
    ],
)
def test_strides_that_do_not_fit_are_refused(in_strides, out_strides, message):
    with pytest.raises(ValueError, match=message):
        FPN(in_channels=(4, 6, 8), in_strides=in_strides, out_channels=8, out_strides=out_strides)


def test_another_number_of_maps_is_refused():
    neck = FPN(in_channels=CHANNELS, in_strides=STRIDES, out_channels=8, out_strides=STRIDES)
    with pytest.raises(ValueError, match='There are 3 maps'):
        neck(maps()[1:])
