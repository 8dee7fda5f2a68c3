"""ViT-Adapter: the authors' numbers, sizes they refuse, and a start that leaves the transformer alone."""

import pytest
import refkit
import torch

from denseformer.backbones import ViT, ViTAdapter

PROBE = dict(width=96, blocks=4, heads=3, deform_heads=6, deform_ratio=0.5, hidden_convs=16, layer_scale=None)
TINY = dict(width=24, blocks=4, heads=2, deform_heads=2, hidden_convs=4, layer_scale=None)


def test_agrees_with_the_authors_code_in_windows_and_without():
    network = ViTAdapter(arch=PROBE, windows=[3, None, 3, None], image_size=64)
    assert refkit.check(network, 'vit_adapter/probe_windowed') < 1e-4


def test_has_the_parameters_of_the_authors_code_but_the_unused_position_of_a_class_token():
    description = ViTAdapter.describe('tiny')
    assert description.strides == (4, 8, 16, 32)
    assert description.parameters == 7_966_640 - 192


@pytest.mark.parametrize('size', [(32, 32), (65, 97)])
def test_takes_any_size(size):
    network = ViTAdapter(arch=TINY, windows=[2, None, 2, None]).eval()
    with torch.no_grad():
        maps = network(torch.randn(1, 3, *size))
    assert [m.shape[2:] for m in maps] == [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)]


def test_injectors_start_without_an_effect_on_a_loaded_transformer():
    vit = ViT(arch=dict(width=24, blocks=4, heads=2))
    network = ViTAdapter(arch=TINY).eval()
    names = (
        ('patches.proj', 'proj'),
        ('patch_embed.cls_token', 'cls_token'),
        ('patch_embed.positions.table', 'pos_embed'),
    )
    state = vit.state_dict()
    for ours, theirs in names:
        state = {key.replace(ours, theirs): value for key, value in state.items()}
    left = network.load_state_dict(state, strict=False)
    assert not [key for key in left.missing_keys if key.startswith('encoder.')]
    assert all(not interaction.injector.gamma.any() for interaction in network.interactions)


def test_one_training_step_reaches_every_parameter():
    network = ViTAdapter(arch=TINY, drop_path_rate=0.1, with_cp=True).train()
    for interaction in network.interactions:
        torch.nn.init.ones_(interaction.injector.gamma)
    sum(m.square().mean() for m in network(torch.randn(2, 3, 64, 64))).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]


def test_blocks_that_are_no_quarters_are_refused():
    with pytest.raises(ValueError, match='6 cannot be'):
        ViTAdapter(arch={**TINY, 'blocks': 6})
    with pytest.raises(ValueError, match='each of 4 blocks'):
        ViTAdapter(arch=TINY, windows=[14])
