"""DRCT: the published variants, and the odd sizes of its blocks."""

import pytest

from denseformer.restoration.networks import DRCT

PARAMETERS = [
    ('base', 2, 13.992e6),
    ('base', 3, 14.177e6),
    ('base', 4, 14.140e6),
    ('large', 2, 27.433e6),
    ('large', 3, 27.618e6),
    ('large', 4, 27.581e6),
]


@pytest.mark.parametrize(('arch', 'scale', 'parameters'), PARAMETERS)
def test_parameters(arch, scale, parameters):
    assert DRCT.describe(arch, scale=scale).parameters == pytest.approx(parameters, abs=6e2)


def test_heads_and_mlps_shrink_as_the_blocks_widen():
    blocks = DRCT.on_meta_device(arch='base').groups[0].blocks
    assert [block.norm1.normalized_shape[0] for block in blocks] == [180, 212, 244, 276, 308]
    assert [block.attn.heads for block in blocks] == [6, 4, 2, 6, 4]
    assert [block.mlp.fc1.out_features for block in blocks] == [360, 424, 488, 276, 308]
    assert [block.attn.shift[0] for block in blocks] == [0, 8, 0, 8, 0]
