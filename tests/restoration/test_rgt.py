"""RGT: the published variants, how often maps are reduced, and the sizes at which the authors' code fails."""

import math

import pytest
import torch

from denseformer.restoration.networks import RGT
from denseformer.restoration.networks.rgt import GeneralizedAttention, reductions

PARAMETERS = [
    ('small', 2, 10.051e6),
    ('small', 3, 10.236e6),
    ('small', 4, 10.199e6),
    ('base', 2, 13.218e6),
    ('base', 3, 13.402e6),
    ('base', 4, 13.366e6),
]
TINY = {'dim': 32, 'groups': 2, 'blocks': 4, 'heads': 2, 'rectangle': (2, 4), 'compressed': 16}


@pytest.mark.parametrize(('arch', 'scale', 'parameters'), PARAMETERS)
def test_parameters(arch, scale, parameters):
    assert RGT.describe(arch, scale=scale).parameters == pytest.approx(parameters, abs=6e2)


@pytest.mark.parametrize('side', [16, 48, 63, 64, 255, 256, 1023, 1024, 4095, 5000])
def test_reductions_are_the_authors(side):
    assert reductions(side, training=False) == max(int(math.log(side // 16, 4) + 1e-9), 2)
    assert reductions(side, training=True) == int(math.log(side // 4, 4) + 1e-9)


@pytest.mark.parametrize('size', [(60, 1024), (15, 64), (3, 5), (1, 300)])
def test_sizes_that_the_authors_code_refuses(size):
    network = RGT(arch=TINY, scale=2).eval()
    with torch.no_grad():
        out = network(torch.rand(1, 3, *size))
    assert out.shape == (1, 3, 2 * size[0], 2 * size[1])
    assert torch.isfinite(out).all()


def test_every_second_local_attention_is_shifted():
    network = RGT.on_meta_device(arch='small')
    shifted = [[block.attn.shifted for block in group.blocks[::2]] for group in network.groups]
    assert shifted == [[False, True, False], [True, False, True]] * 3


@pytest.mark.parametrize('compressed', [6, 24])
@torch.no_grad()
def test_queries_narrower_or_wider_than_values_attend_by_the_definition(compressed):
    attn, x = GeneralizedAttention(12, 2, compressed).eval(), torch.randn(1, 32, 48, 12)
    tokens = attn.generalize(x)
    v = attn.v(tokens)
    maps = attn.q(x), attn.k(tokens), v + attn.cpe(v)
    q, k, v = (t.flatten(1, 2).unflatten(2, (2, -1)).transpose(1, 2) for t in maps)  # (1, 2, N, d)
    mixed = (q @ k.mT * (compressed // 2) ** -0.5).softmax(-1) @ v
    torch.testing.assert_close(attn(x), attn.proj(mixed.transpose(1, 2).reshape(x.shape)))
