"""EcoFormer: hash functions that are learned once, and its checkpoint layout."""

import pytest
import torch

from denseformer.backbones import EcoFormer

TINY = {'widths': (8, 16, 40, 64), 'depths': (1, 1, 1, 1), 'heads': (1, 2, 5, 8)}
MILLIONS = {'b0': 2.88, 'b1': 11.38, 'b2': 19.85, 'b3': 33.57, 'b4': 45.15}


@pytest.mark.parametrize('arch', EcoFormer.archs)
def test_has_the_published_number_of_parameters_without_classifier(arch):
    assert EcoFormer.describe(arch).parameters / 1e6 == pytest.approx(MILLIONS[arch], abs=0.01)


def test_hash_functions_are_learned_from_the_first_training_batch_alone():
    network = EcoFormer(arch=TINY)
    image = torch.randn(2, 3, 64, 64)
    hashes = [stage.blocks[0].attn.hash for stage in network.stages[:3]]
    network.eval()(image)
    assert not any(h.learned for h in hashes)
    network.train()(image)
    assert all(h.learned for h in hashes)
    assert all(h.anchors.norm(dim=-1).allclose(torch.ones(())) for h in hashes)
    first = [h.anchors.clone() for h in hashes]
    network(image + 1)
    assert all(torch.equal(h.anchors, before) for h, before in zip(hashes, first, strict=True))


def test_loaded_hash_functions_are_kept():
    network = EcoFormer(arch=TINY)
    prefix = 'block2.0.attn.'
    checkpoint = {
        f'{prefix}to_qk.weight': torch.full((16, 16), 2.0),
        f'{prefix}to_v.bias': torch.full((16,), 3.0),
        f'{prefix}fast_attention.projection_matrix': torch.ones(16, 8),
        f'{prefix}fast_attention.ksh.A': torch.full((2, 16, 25), 4.0),
        f'{prefix}fast_attention.ksh.mvec': torch.full((1, 2, 1, 25), 5.0),
        f'{prefix}fast_attention.ksh.anchor': torch.full((1, 2, 25, 8), 6.0),
        'head.weight': torch.ones(1000, 64),
        'block1.0.norm1.bias': torch.zeros(8),
    }
    assert not network.load_state_dict(checkpoint, strict=False).unexpected_keys
    attn = network.stages[1].blocks[0].attn
    assert (attn.qk.weight == 2).all()
    assert (attn.v.bias == 3).all()
    network.train()(torch.randn(1, 3, 32, 32))
    assert (attn.hash.projection == 4).all()
    assert (attn.hash.mean == 5).all()
    assert (attn.hash.anchors == 6).all()
    assert network.stages[0].blocks[0].attn.hash.learned
