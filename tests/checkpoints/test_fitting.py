"""Weights that carry a prefix, another number of input channels or other classes still fit."""

import pytest
import torch
from torch import nn

from denseformer.backbones import Swin
from denseformer.checkpoints import CheckpointError
from denseformer.checkpoints.fitting import fit, inflate_input, places
from denseformer.engine.initializers import Pretrained

ARCH = Swin.truncated_arch()


class Model(nn.Module):
    def __init__(self, classes: int):
        super().__init__()
        self.backbone = Swin(arch=ARCH)
        self.decode_head = nn.Conv2d(8, classes, 1)


@pytest.mark.parametrize('prefix', ['module.', '_orig_mod.', 'model.', 'net_g.', 'student.module.', 'backbone.'])
def test_a_prefix_that_all_names_share_is_removed_and_said(prefix):
    source = Swin(arch=ARCH)
    weights, notes = fit(Swin(arch=ARCH), {prefix + key: value for key, value in source.state_dict().items()})
    assert weights.keys() == source.state_dict().keys()
    assert prefix in notes[0]


def test_names_that_fit_stay_as_they_are():
    source = Swin(arch=ARCH)
    weights, notes = fit(Swin(arch=ARCH), source.state_dict())
    assert weights.keys() == source.state_dict().keys()
    assert not notes


def test_embeddings_of_other_labels_are_left_out():
    def model(classes):
        return nn.ModuleDict({'norm': nn.LayerNorm(8), 'label_embedding': nn.Embedding(classes, 8)})

    weights, notes = fit(model(2), model(80).state_dict())
    assert weights.keys() == {'norm.weight', 'norm.bias'}
    assert notes == ['label_embedding.weight: left out, it has 80 outputs instead of 2']


def test_every_shared_beginning_is_tried():
    assert list(dict(places({'a.b.c': None, 'a.b.d.e': None}))) == ['', 'a.', 'a.b.']


@pytest.mark.parametrize('wrapper', ['model.', 'model.module.', 'net.', 'teacher.backbone.', 'model_ema.'])
def test_a_wrapper_beside_other_tensors_is_removed(wrapper):
    source = Swin(arch=ARCH).state_dict()
    wrapped = {wrapper + key: value for key, value in source.items()}
    weights, notes = fit(Swin(arch=ARCH), {'criterion.weight': torch.ones(3), **wrapped})
    assert weights.keys() == source.keys()
    assert wrapper in notes[0]


def test_averaged_weights_come_before_those_they_were_averaged_from():
    source = Swin(arch=ARCH).state_dict()
    both = {'model.' + key: value for key, value in source.items()}
    both |= {'ema_model.' + key: torch.zeros_like(value) for key, value in source.items()}
    weights, _ = fit(Swin(arch=ARCH), both)
    assert not weights['patch_embed.proj.weight'].any()


def test_a_backbone_starts_from_a_whole_model(tmp_path):
    source, target = Model(5), Swin(arch=ARCH)
    torch.save({'state_dict': source.state_dict()}, tmp_path / 'whole.pth')
    Pretrained(str(tmp_path / 'whole.pth'))(target)
    assert torch.equal(target.patch_embed.proj.weight, source.backbone.patch_embed.proj.weight)


def test_mmengines_pretrained_finds_the_weights_of_a_file_or_refuses_it(tmp_path):
    source = Swin(arch=ARCH)
    torch.save({'model': source.state_dict()}, tmp_path / 'swin.pth')
    target = Swin(arch=ARCH, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'swin.pth')))
    target.init_weights()
    assert torch.equal(target.patch_embed.proj.weight, source.patch_embed.proj.weight)
    torch.save({'model': {'other.weight': torch.ones(3)}}, tmp_path / 'other.pth')
    other = Swin(arch=ARCH, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'other.pth')))
    with pytest.raises(CheckpointError, match=r'other\.pth: none of its 1 tensors belongs to this model'):
        other.init_weights()


def test_a_model_of_other_classes_starts_from_all_but_its_class_layers(tmp_path):
    source, target = Model(5), Model(2)
    torch.save({'state_dict': source.state_dict()}, tmp_path / 'five.pth')
    before = target.decode_head.weight.clone()
    Pretrained(str(tmp_path / 'five.pth'))(target)
    assert torch.equal(target.backbone.patch_embed.proj.weight, source.backbone.patch_embed.proj.weight)
    assert torch.equal(target.decode_head.weight, before)


@pytest.mark.parametrize('channels', [1, 2, 4, 6, 8])
def test_inflated_kernels_answer_alike_to_gray_images(channels):
    weight = torch.randn(4, 3, 2, 2).mean(1, keepdim=True).expand(4, 3, 2, 2)
    gray = torch.randn(1, 1, 6, 6)
    expected = nn.functional.conv2d(gray.expand(-1, 3, -1, -1), weight)
    inflated = inflate_input(weight, channels)
    torch.testing.assert_close(nn.functional.conv2d(gray.expand(-1, channels, -1, -1), inflated), expected)


def test_a_backbone_of_four_channels_starts_from_rgb_weights(tmp_path):
    source, target = Swin(arch=ARCH), Swin(arch=ARCH, in_channels=4)
    torch.save(source.state_dict(), tmp_path / 'rgb.pth')
    Pretrained(str(tmp_path / 'rgb.pth'))(target)
    expected = inflate_input(source.patch_embed.proj.weight, 4)
    torch.testing.assert_close(target.patch_embed.proj.weight, expected)
