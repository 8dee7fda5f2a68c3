"""Heads of plain maps: what the linear one computes, how DPT takes tokens, and what they refuse."""

import pytest
import torch
from torch import nn

from denseformer.checkpoints.fitting import fit
from denseformer.segmentation import CroCoHead, DPTHead, LinearHead


def test_the_linear_head_is_a_norm_and_a_linear_classifier():
    head = LinearHead(in_channels=(4, 6), num_classes=3).eval()
    head.norm = nn.BatchNorm2d(10).eval()
    head.norm.running_mean.normal_()
    maps = torch.randn(2, 4, 6, 8), torch.randn(2, 6, 3, 4)
    joined = torch.cat([maps[0], nn.functional.interpolate(maps[1], (6, 8), mode='bilinear')], 1)
    expected = nn.functional.conv2d(head.norm(joined), head.conv_seg.weight, head.conv_seg.bias)
    torch.testing.assert_close(head(maps), expected)


def test_the_linear_head_of_dinov2_loads_beside_its_backbone():
    model = nn.ModuleDict({'backbone': nn.Linear(2, 2), 'decode_head': LinearHead(in_channels=(4,), num_classes=3)})
    theirs = {key.replace('.norm.', '.bn.'): torch.full_like(value, 7) for key, value in model.state_dict().items()}
    assert fit(model, theirs)[0].keys() == model.state_dict().keys()
    model.load_state_dict(theirs)
    assert (model['decode_head'].norm.running_mean == 7).all()


def test_dpt_takes_maps_alone_or_with_the_class_token():
    maps = [torch.randn(2, 8, 4, 6) for _ in range(4)]
    tokens = [torch.randn(2, 3, 8) for _ in range(4)]
    options = dict(in_channels=(8,) * 4, num_classes=3, post_process_channels=(4, 4, 4, 4), channels=4)
    head = DPTHead(**options).eval()
    assert head(maps).shape == (2, 3, 32, 48)
    torch.testing.assert_close(head(maps), head(list(zip(maps, tokens, strict=True))))
    head = DPTHead(**options, readout='project').eval()
    changed = [torch.cat([x[:, :1] + 1, x[:, 1:]], 1) for x in tokens]
    a, b = (head(list(zip(maps, each, strict=True))) for each in (tokens, changed))
    assert not torch.allclose(a, b)
    with pytest.raises(ValueError, match='output_tokens=True'):
        head(maps)


def test_dpt_wants_four_maps_of_one_width():
    with pytest.raises(ValueError, match='4 maps of one width'):
        DPTHead(in_channels=(8, 8, 8), num_classes=3)


def test_crocos_head_scores_every_pixel_of_maps_of_odd_sizes():
    options = dict(num_classes=3, post_process_channels=(4, 4, 4, 4), width=8, channels=4)
    head = CroCoHead(in_channels=(8,) * 4, **options).eval()
    assert head([torch.randn(2, 8, 3, 5) for _ in range(4)]).shape == (2, 3, 48, 80)
    with pytest.raises(ValueError, match='Four maps'):
        CroCoHead(in_channels=(8,) * 3, **options)


def test_the_linear_head_takes_dinov3s_names_too():
    head, other = (LinearHead(in_channels=(4,), num_classes=3) for _ in range(2))
    nn.init.normal_(head.norm.weight)
    names = {'norm.': 'batchnorm_layer.', 'conv_seg.': 'conv.'}
    theirs = {f'{names[key[: key.index(".") + 1]]}{key.split(".")[1]}': v for key, v in head.state_dict().items()}
    other.load_state_dict(theirs)
    assert all(torch.equal(value, head.state_dict()[key]) for key, value in other.state_dict().items())
