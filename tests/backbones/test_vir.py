"""ViR: what a token weighs."""

import pytest
import torch

from denseformer.backbones import ViR
from denseformer.backbones.plain.vir import decay


def test_has_the_published_number_of_parameters_with_a_classifier():
    assert (ViR.describe('small').parameters + 385 * 1000) / 1e6 == pytest.approx(22.06, abs=5e-3)


def test_weights_fall_with_the_distance_backwards_and_are_zero_forwards():
    weights = decay(3, 2, torch.device('cpu'), torch.float64)  # the class token first, though the sequence ends with it
    gamma = torch.tensor([1 - 1 / 32, 1 - 1 / 512], dtype=torch.float64)
    torch.testing.assert_close(weights[:, 3, 1], gamma**2)
    torch.testing.assert_close(weights[:, 0, 1], gamma**3)
    assert (weights[:, 1, 2] == 0).all()
    assert (weights[:, 2, 0] == 0).all()
    assert (weights.diagonal(dim1=1, dim2=2) == 1).all()


def test_the_class_token_takes_no_position():
    network = ViR(arch={'width': 8, 'blocks': 1, 'heads': 2}, image_size=32)
    network.load_state_dict({'cls_token': torch.ones(1, 1, 8), 'pos_embed': torch.full((1, 4, 8), 5.0)}, strict=False)
    tokens, size = network.patch_embed(torch.zeros(1, 3, 32, 32))
    assert size == (2, 2)
    assert (tokens[:, 0] == 1).all()
