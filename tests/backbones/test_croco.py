"""CroCo v2's encoder under its DPT head, and its rotations."""

import pytest
import refkit
import torch
from torch import nn

from denseformer.attention.rotary import counted_rotation, rotate_halves
from denseformer.backbones import CroCo
from denseformer.backbones.plain.embedding import sine_positions
from denseformer.segmentation import CroCoDPTHead


class Monocular(nn.Sequential):
    """The encoder and its head, which load the authors' whole network."""

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str, *args) -> None:
        for key in list(state_dict):
            state_dict[key.replace('head.', '1.', 1) if key.startswith('head.') else f'0.{key}'] = state_dict.pop(key)


def test_the_encoder_and_its_head_agree_with_the_authors():
    network = Monocular(
        CroCo(arch=dict(width=192, blocks=12, heads=3)), CroCoDPTHead(in_channels=(192,) * 4, num_classes=3)
    )
    assert refkit.check(network, 'croco/mono_dpt_small') < 1e-4


def test_the_first_version_adds_sines_of_the_trained_grid_and_turns_nothing():
    network = CroCo(arch=dict(width=8, blocks=1, heads=1, rotary=False), image_size=48)
    state = dict(network.state_dict(), enc_pos_embed=torch.ones(9, 8), dec_pos_embed=torch.ones(9, 4))
    network.load_state_dict(state)
    sines = sine_positions((3, 3), 8, torch.device('cpu'), torch.float32)[:, 1:]
    resized = nn.functional.interpolate(sines.mT.unflatten(2, (3, 3)), (2, 5), mode='bicubic').flatten(2).mT
    for image, positions in ((torch.randn(1, 3, 48, 48), sines), (torch.randn(1, 3, 32, 80), resized)):
        tokens, size = network.patch_embed(image)
        patches = network.patch_embed.patches(image).flatten(2).mT
        torch.testing.assert_close(tokens, patches + positions)
        assert network.context(tokens, size) == ()


@pytest.mark.parametrize(('arch', 'millions'), [('base', 85.6), ('large', 303.1), ('v1_base', 85.6)])
def test_encoders_are_those_of_vit(arch, millions):
    assert CroCo.describe(arch).parameters / 1e6 == pytest.approx(millions, abs=0.1)


def test_products_of_rotated_vectors_depend_on_the_distance_alone():
    q, k = torch.randn(2, 1, 16).expand(2, 12, 16)  # the same vector at every place of a 3 x 4 map
    rotation = counted_rotation((3, 4), 16, 100.0, torch.device('cpu'), torch.float32)
    products = (rotate_halves(q, rotation) @ rotate_halves(k, rotation).T).view(3, 4, 3, 4)
    torch.testing.assert_close(products[0, 0, 1, 2], products[1, 1, 2, 3])
    torch.testing.assert_close(products[2, 3, 0, 1], products[2, 2, 0, 0])
