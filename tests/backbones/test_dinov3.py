"""DINOv3: published sizes, positions that follow the image, and the layouts that its checkpoints come in."""

import pytest
import torch

from denseformer.attention.rotary import centered_angles, centered_rotation
from denseformer.backbones import DINOv3

PROBE = dict(width=32, blocks=2, heads=2)


@pytest.mark.parametrize(('arch', 'blocks', 'parameters'), [('small', 12, 21_601_152), ('base', 12, 85_670_000)])
def test_published_parameter_counts_with_the_mask_token_and_the_bias_of_keys(arch, blocks, parameters):
    description = DINOv3.describe(arch)
    stored = description.parameters + (1 + blocks) * description.channels[0]
    assert stored == pytest.approx(parameters, rel=1e-4)


def test_positions_depend_on_the_place_in_the_image_and_not_on_its_size():
    small = centered_rotation((3, 3), 16, 100.0, 0, torch.device('cpu'), torch.float64)
    large = centered_rotation((9, 9), 16, 100.0, 0, torch.device('cpu'), torch.float64)
    for a, b in zip(small, large, strict=True):
        torch.testing.assert_close(a.view(3, 3, -1), b.view(9, 9, -1)[1::3, 1::3])


def test_tokens_in_front_are_not_turned():
    sin, cos = centered_rotation((2, 2), 16, 100.0, 5, torch.device('cpu'), torch.float32)
    assert not sin[:5].any()
    assert (cos[:5] == 1).all()


def test_a_stored_bias_of_keys_is_not_used():
    network = DINOv3(arch=PROBE).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image)
        state = network.state_dict()
        for i in range(2):
            q, v = (state.pop(f'blocks.{i}.attn.qkv.{name}_bias') for name in 'qv')
            state[f'blocks.{i}.attn.qkv.bias'] = torch.cat([q, torch.full_like(q, 9.0), v])
        network.load_state_dict(state)
        assert all(torch.equal(a, b) for a, b in zip(before, network(image), strict=True))


def test_the_two_layers_of_a_gated_mlp_load_as_one():
    network = DINOv3(arch=dict(**PROBE, swiglu=True, hidden=64))
    state = network.state_dict()
    for i in range(2):
        for kind in ('weight', 'bias'):
            gates, values = state.pop(f'blocks.{i}.mlp.fc1.{kind}').chunk(2)
            state |= {f'blocks.{i}.mlp.w1.{kind}': gates, f'blocks.{i}.mlp.w2.{kind}': values}
            state[f'blocks.{i}.mlp.w3.{kind}'] = state.pop(f'blocks.{i}.mlp.fc2.{kind}')
    left = network.load_state_dict(state)
    assert not left.missing_keys


@pytest.mark.parametrize('stored', [True, False])
def test_biases_that_timm_leaves_out_are_zero(stored):
    network = DINOv3(arch=PROBE)
    state = {}
    for key, value in network.state_dict().items():
        bias = key.endswith(('.q_bias', '.v_bias'))
        timms = key.replace('.qkv.', '.') if bias else key.replace('.gamma', '.gamma_')
        if stored or not bias:
            state[timms] = torch.full_like(value, 0.5) if bias else value
    assert not network.load_state_dict(state).missing_keys
    biases = [value for key, value in network.state_dict().items() if key.endswith(('.q_bias', '.v_bias'))]
    assert len(biases) == 4
    assert all((bias == (0.5 if stored else 0)).all() for bias in biases)


@torch.no_grad()
def test_the_distance_of_patches_is_drawn_while_the_last_block_is_trained_and_only_then():
    image = torch.randn(1, 3, 64, 64)

    def differs(network: DINOv3) -> bool:
        first, second = (network(image)[-1] for _ in range(2))
        return not torch.equal(first, second)

    assert differs(DINOv3(arch=PROBE).train())
    assert not differs(DINOv3(arch=PROBE).eval())
    assert not differs(DINOv3(arch=PROBE, frozen_stages=2).train())


def test_drawn_rotations_are_those_of_patches_up_to_twice_as_far_apart_or_as_near():
    network = DINOv3(arch=PROBE).train()
    x, size = torch.zeros(1, 21, 32), (4, 4)
    angles = centered_angles(size, 16, 100.0, 5, torch.device('cpu'), torch.float32)
    scales = []
    for _ in range(20):
        sin, cos = network.context(x, size)[0]
        slow = slice(2, 4)  # so slow that they stay below a quarter turn
        scales += [(sin.atan2(cos) / angles)[5:, :, slow].median()]
    assert 0.5 <= min(scales) < 0.8 < 1.2 < max(scales) <= 2
