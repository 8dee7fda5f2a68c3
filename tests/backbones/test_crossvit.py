"""CrossViT: two branches, which keep the contract of a backbone but for the pyramid."""

import pytest
import torch

from denseformer.backbones import CrossViT

MILLIONS = {'tiny': 7.015, 'small': 26.856, 'base': 105.025, '9': 8.553, '15': 27.528, '18': 43.271}
DAGGERS = {'9_dagger': 8.777, '15_dagger': 28.209, '18_dagger': 44.267}
TINY = {'widths': (8, 16), 'blocks': 2, 'heads': 2}


@pytest.mark.parametrize(('arch', 'millions'), (MILLIONS | DAGGERS).items())
def test_has_the_published_number_of_parameters_with_classifiers_and_the_last_fusion(arch, millions):
    small, large = CrossViT.archs[arch].widths
    fusion = sum(
        2 * own + own * other + other  # into
        + 2 * other + 4 * (other * other + other)  # attention
        + 2 * other + other * own + own  # out
        for own, other in ((small, large), (large, small))
    )  # fmt: skip
    extra = fusion + (small + large + 2) * 1000
    assert (CrossViT.describe(arch).parameters + extra) / 1e6 == pytest.approx(millions, abs=1e-3)


@torch.no_grad()
def test_takes_any_size_without_remembering_the_last_one():
    network = CrossViT(arch={**TINY, 'dagger': True}).eval()
    image = torch.randn(2, 3, 65, 97)
    before = network(image)
    assert [tuple(x.shape) for x in before] == [(2, 8, 6, 9), (2, 16, 4, 6)]
    network(torch.randn(1, 3, 32, 32))
    assert all(torch.equal(a, b) for a, b in zip(before, network(image), strict=True))


@pytest.mark.parametrize('with_cp', [False, True])
def test_one_training_step_reaches_every_parameter(with_cp):
    network = CrossViT(arch=TINY, drop_path_rate=0.1, with_cp=with_cp).train()
    sum(x.square().mean() for x in network(torch.randn(2, 3, 64, 96))).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]


def test_own_keys_survive_and_positions_are_resized():
    network = CrossViT(arch=TINY)
    other = CrossViT.on_meta_device(arch=TINY)
    assert not other.load_state_dict(network.state_dict(), assign=True).missing_keys
    larger = CrossViT(arch=TINY, image_size=480)
    larger.load_state_dict({'pos_embed_1': torch.full((1, 197, 16), 0.5)}, strict=False)
    torch.testing.assert_close(larger.patch_embed[1].positions.table.data, torch.full((1, 785, 16), 0.5))


def test_frozen_stages_and_layers_of_the_decay_are_the_three_fusions():
    network = CrossViT(arch=TINY, frozen_stages=1).train()
    assert not any(p.requires_grad for module in (network.patch_embed, network.blocks[0]) for p in module.parameters())
    assert all(p.requires_grad for p in network.blocks[1].parameters())
    roles = network.param_groups()
    assert {role.depth for name, role in roles.items() if name.startswith('blocks')} == {1, 2, 3}
    assert not roles['patch_embed.0.positions.table'].decay


def test_a_single_branch_is_refused():
    with pytest.raises(ValueError, match='both branches'):
        CrossViT.on_meta_device(arch=TINY, out_indices=(1,))
