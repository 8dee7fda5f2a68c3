"""MiT: published sizes, the authors' ImageNet keys, and what reduction leaves out."""

import pytest
import torch

from denseformer.backbones import MiT
from denseformer.backbones.global_attention.mit import ReducedAttention

MILLIONS = {'b0': 3.319, 'b1': 13.151, 'b2': 24.196, 'b3': 44.072, 'b4': 60.843, 'b5': 81.443}


@pytest.mark.parametrize('arch', MiT.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(MiT.describe(arch).parameters / 1e6, 3) == MILLIONS[arch]


def test_an_imagenet_checkpoint_loads_without_its_classifier():
    network = MiT(arch='b0')
    left = network.load_state_dict(
        {
            'block1.0.attn.sr.bias': torch.full((32,), 2.0),
            'block4.1.attn.kv.bias': torch.full((512,), 3.0),
            'norm4.weight': torch.full((256,), 4.0),
            'head.weight': torch.ones(1000, 256),
        },
        strict=False,
    )
    assert not left.unexpected_keys
    assert (network.stages[0].blocks[0].attn.reduce.bias == 2).all()
    assert (network.stages[3].blocks[1].attn.kv.bias == 3).all()
    assert (network.out_norms[3].weight == 4).all()


@torch.no_grad()
def test_what_does_not_fill_a_reduction_is_seen_by_no_other_token():
    attention, x = ReducedAttention(8, 2, reduction=4), torch.randn(1, 6, 9, 8)
    before = attention(x)
    x[0, 4, 8] += 1
    changed = (attention(x) - before).abs().sum(-1)[0].nonzero().tolist()
    assert changed == [[4, 8]]


def test_norms_of_blocks_and_of_patches_have_different_epsilons():
    network = MiT.on_meta_device(arch='b0')
    block = network.stages[1].blocks[0]
    assert block.norm1.eps == block.norm2.eps == network.out_norms[1].eps == 1e-6
    assert block.attn.norm.eps == network.patch_embed.norm.eps == network.stages[1].downsample.norm.eps == 1e-5
