"""The linear head: what it computes, and its authors' names."""

import torch
from torch import nn

from denseformer.checkpoints.fitting import fit
from denseformer.segmentation import LinearHead


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


def test_the_linear_head_takes_dinov3s_names_too():
    head, other = (LinearHead(in_channels=(4,), num_classes=3) for _ in range(2))
    nn.init.normal_(head.norm.weight)
    names = {'norm.': 'batchnorm_layer.', 'conv_seg.': 'conv.'}
    theirs = {f'{names[key[: key.index(".") + 1]]}{key.split(".")[1]}': v for key, v in head.state_dict().items()}
    other.load_state_dict(theirs)
    assert all(torch.equal(value, head.state_dict()[key]) for key, value in other.state_dict().items())
