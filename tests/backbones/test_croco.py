"""CroCo v2's encoder, by what the authors' DPT head makes of it."""

import pytest
import refkit
import torch
import torch.nn.functional as F

from denseformer.attention.rotary import counted_rotation, rotate_halves
from denseformer.backbones import CroCo

Weights = dict[str, torch.Tensor]


def conv(w: Weights, name: str, x: torch.Tensor, **options) -> torch.Tensor:
    return F.conv2d(x, w[f'{name}.weight'], w.get(f'{name}.bias'), **options)


def residual(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    y = conv(w, f'{name}.conv1', F.relu(x), padding=1)
    return x + conv(w, f'{name}.conv2', F.relu(y), padding=1)


def doubled(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)


def dpt(w: Weights, maps: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The authors' head: four maps (B, C, H, W) -> (B, classes, 16 H, 16 W).

    Their state dict holds some layers under two names; the later name's values are those that were loaded.
    """
    levels = [conv(w, f'act_postprocess.{i}.0', x) for i, x in enumerate(maps)]
    for i, stride in ((0, 4), (1, 2)):
        name = f'act_postprocess.{i}.1'
        levels[i] = F.conv_transpose2d(levels[i], w[f'{name}.weight'], w[f'{name}.bias'], stride)
    levels[3] = conv(w, 'act_postprocess.3.1', levels[3], stride=2, padding=1)
    levels = [conv(w, f'scratch.layer_rn.{i}', x, padding=1) for i, x in enumerate(levels)]
    path = None
    for i in (4, 3, 2, 1):
        name, level = f'scratch.refinenet{i}', levels[i - 1]
        x = level if path is None else path + residual(w, f'{name}.resConfUnit1', level)
        path = conv(w, f'{name}.out_conv', doubled(residual(w, f'{name}.resConfUnit2', x)))
        if i == 4:
            path = path[:, :, : levels[2].shape[2], : levels[2].shape[3]]
    x = doubled(conv(w, 'head.0', path, padding=1))
    return conv(w, 'head.4', F.relu(conv(w, 'head.2', x, padding=1)))


def test_the_authors_head_agrees_on_our_maps():
    reference = refkit.load_reference('croco/mono_dpt_small')
    run, state = reference['runs'][0], refkit.fill_state_dict(reference['shapes'])
    head = {key.removeprefix('head.dpt.'): value for key, value in state.items() if key.startswith('head.dpt.')}
    network = CroCo(arch=dict(width=192, blocks=12, heads=3)).eval()
    left = network.load_state_dict(state)
    assert not left.missing_keys
    assert not left.unexpected_keys
    with torch.no_grad():
        out = dpt(head, network(refkit.make_input(run)))
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
