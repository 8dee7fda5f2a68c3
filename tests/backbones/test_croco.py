"""CroCo v2's encoder, and its authors' DPT head on it."""

import pytest
import refkit
import torch
from mmengine.registry import MODELS, init_default_scope

from denseformer.attention.rotary import counted_rotation, rotate_halves
from denseformer.backbones import CroCo


def test_the_authors_segmentor_loads_whole_and_agrees():
    init_default_scope('mmseg')
    maps = dict(type='denseformer.CroCo', arch=dict(width=192, blocks=12, heads=3))
    head = dict(type='denseformer.CroCoHead', in_channels=(192,) * 4, num_classes=3)
    network = MODELS.build(dict(type='denseformer.Segmentor', backbone=maps, decode_head=head)).eval()
    reference = refkit.load_reference('croco/mono_dpt_small')
    left = network.load_state_dict(refkit.fill_state_dict(reference['shapes']))
    assert not left.missing_keys
    assert not left.unexpected_keys
    run = reference['runs'][0]
    with torch.no_grad():
        out = network._forward(refkit.make_input(run))
    assert refkit.deviation([out], run['outputs']) < 1e-4


@pytest.mark.parametrize(('arch', 'millions'), [('base', 85.6), ('large', 303.1)])
def test_encoders_are_those_of_vit(arch, millions):
    assert CroCo.describe(arch).parameters / 1e6 == pytest.approx(millions, abs=0.1)


def test_products_of_rotated_vectors_depend_on_the_distance_alone():
    q, k = torch.randn(2, 1, 16).expand(2, 12, 16)  # the same vector at every place of a 3 x 4 map
    rotation = counted_rotation((3, 4), 16, 100.0, torch.device('cpu'), torch.float32)
    products = (rotate_halves(q, rotation) @ rotate_halves(k, rotation).T).view(3, 4, 3, 4)
    torch.testing.assert_close(products[0, 0, 1, 2], products[1, 1, 2, 3])
    torch.testing.assert_close(products[2, 3, 0, 1], products[2, 2, 0, 0])
