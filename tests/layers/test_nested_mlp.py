"""MatFormer's nested MLP: the rule of the authors' code, factors by layer, and the draw in training."""

import pytest
import refkit
import torch

from denseformer.backbones import ViT
from denseformer.layers.nested_mlp import FACTORS, NestedMlp, set_factors

SMALL = dict(width=16, blocks=3, heads=2)


def test_agrees_with_the_authors_code():
    reference = refkit.load_reference('matformer/nested_ffn')
    state = refkit.fill_state_dict(reference['shapes'])
    mlp = NestedMlp(48, 192)
    mlp.load_state_dict({key.replace('ff_proj', 'fc1').replace('ff_out', 'fc2'): v for key, v in state.items()})
    x = refkit.make_input(reference['runs'][0])
    outs = []
    for factor in FACTORS:
        set_factors(mlp, factor)
        outs.append(mlp(x))
    assert refkit.deviation(outs, reference['runs'][0]['outputs']) < 1e-4


def test_a_network_takes_one_factor_or_one_for_each_block():
    plain, nested = ViT(arch=SMALL).eval(), ViT(arch=SMALL, mlp_factors=1).eval()
    nested.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(nested(image)[-1], plain(image)[-1])
        nested.mlp_factors = (1, 2, 8)
        assert not torch.allclose(nested(image)[-1], plain(image)[-1])
    assert [block.mlp.factor for block in nested.blocks] == [1, 2, 8]


def test_training_draws_a_factor_and_prediction_keeps_its_own():
    network = ViT(arch=SMALL, mlp_factors=2).train()
    drawn = set()
    for _ in range(40):
        network(torch.randn(1, 3, 32, 32))
        drawn.add(network.blocks[0].mlp.factor)
    assert drawn == set(FACTORS)
    network.eval()(torch.randn(1, 3, 32, 32))
    assert [block.mlp.factor for block in network.blocks] == [2] * 3


def test_factors_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='3 nested MLPs'):
        ViT(arch=SMALL, mlp_factors=(1, 2))
    with pytest.raises(ValueError, match='multiple of 8'):
        NestedMlp(4, 12)
