"""PoolFormer: its pooling, its stem's padding, and the flat layout of its checkpoints."""

import pytest
import torch

from denseformer.backbones import PoolFormer
from denseformer.backbones.convolution.poolformer import Pooling

MILLIONS = {'s12': 11.40, 's24': 20.88, 's36': 30.35, 'm36': 55.40, 'm48': 72.71}
SMALL = {'widths': (8, 16, 24, 32), 'depths': (1, 1, 1, 1), 'layer_scale': 1e-5}


@pytest.mark.parametrize('arch', PoolFormer.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(PoolFormer.describe(arch).parameters / 1e6, 2) == MILLIONS[arch]


def test_pooling_is_silent_on_a_constant_map_up_to_its_border():
    assert Pooling()(torch.full((1, 2, 5, 7), 3.0)).abs().max() < 1e-6


def test_the_stem_pads_by_two():
    maps = PoolFormer(arch=SMALL)(torch.randn(1, 3, 97, 131))
    assert [tuple(m.shape[2:]) for m in maps] == [(24, 33), (12, 17), (6, 9), (3, 5)]


def test_a_checkpoint_numbers_stages_and_embeddings_in_one_list():
    network = PoolFormer(arch=SMALL)
    checkpoint = {
        'network.0.0.norm1.weight': torch.full((8,), 2.0),
        'network.1.proj.bias': torch.full((16,), 3.0),
        'network.6.0.layer_scale_2': torch.full((32,), 4.0),
        'norm6.bias': torch.full((32,), 5.0),
        'norm.weight': torch.ones(32),
        'head.weight': torch.ones(1000, 32),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.stages[0].blocks[0].norm1.weight == 2).all()
    assert (network.stages[1].downsample.proj.bias == 3).all()
    assert (network.stages[3].blocks[0].gamma2 == 4).all()
    assert (network.out_norms[3].bias == 5).all()
