"""MoH: gates, the balance of choices, and how its loss reaches training."""

import copy
import warnings

import pytest
import refkit
import torch

from denseformer.backbones import MoH
from denseformer.backbones.global_attention.moh import HeadRouter, balance_loss

TINY = {'width': 48, 'depths': (1, 1, 1, 2), 'shared': (2, 1, 2, 4), 'chosen': (0, 2, 4, 8)}


@pytest.mark.parametrize('arch', MoH.archs)
def test_has_the_published_number_of_parameters_without_classifier(arch):
    classifier = 1001 * MoH.archs[arch].widths[-1] - MoH.archs[arch].widths[-1] + 1000
    published = {'small_80': 49_910_548, 'small_75': 49_910_548, 'base_75': 90_020_632, 'base_50': 90_023_512}
    assert MoH.describe(arch).parameters == published[arch] - classifier


def test_a_token_hears_shared_heads_and_the_best_of_the_others():
    torch.manual_seed(0)
    router = HeadRouter(16, 8, shared=2, chosen=3)
    gates, loss = router(torch.randn(2, 3, 4, 16))
    assert gates.shape == (2, 3, 4, 8)
    assert (gates[..., :2] > 0).all()
    assert ((gates[..., 2:] > 0).sum(-1) == 3).all()
    torch.testing.assert_close(gates[..., :2].sum(-1) / 2 + gates[..., 2:].sum(-1) / 3, torch.full((2, 3, 4), 2.0))
    assert loss > 0


def test_heads_that_are_all_shared_have_no_loss():
    gates, loss = HeadRouter(16, 4, shared=4, chosen=0)(torch.randn(1, 2, 2, 16))
    torch.testing.assert_close(gates.sum(-1), torch.full((1, 2, 2), 4.0))
    assert loss is None


def test_a_balanced_choice_costs_as_much_as_heads_are_chosen():
    probabilities = torch.full((6, 6), 1 / 6)
    even = torch.eye(6) + torch.eye(6).roll(1, 0)
    uneven = torch.zeros(6, 6).index_fill(1, torch.tensor([0, 1]), 1)
    torch.testing.assert_close(balance_loss(probabilities, even), torch.tensor(2.0))
    skewed = torch.tensor([0.4, 0.4, 0.05, 0.05, 0.05, 0.05]).expand(6, 6)
    assert balance_loss(skewed, uneven) > balance_loss(skewed, even)


def test_balance_losses_agree_with_the_authors_code():
    reference = refkit.load_reference('moh/base_50_probe_64')  # four maps, class logits, the losses of all blocks
    fields = dict(width=96, depths=(1, 1, 2, 1), shared=(2, 2, 2, 4), chosen=(2, 4, 6, 8))
    network = MoH(arch=fields)
    network.load_state_dict(refkit.fill_state_dict(reference['shapes']), strict=False)
    (run,) = reference['runs']
    network.train()(refkit.make_input(run))
    losses = torch.stack([loss for stage in network.stages for loss in stage.losses])
    assert refkit.deviation([losses], run['outputs'][5:]) < 1e-4
    torch.testing.assert_close(network.auxiliary_losses()['loss_balance'], 0.01 * losses.mean())


@pytest.mark.parametrize('with_cp', [False, True])
def test_the_balance_loss_trains_the_routers_and_is_collected_once(with_cp):
    network = MoH(arch=TINY, with_cp=with_cp).train()
    network(torch.randn(2, 3, 32, 64))
    copy.deepcopy(network)
    losses = network.auxiliary_losses()
    losses['loss_balance'].backward()
    assert network.stages[3].blocks[1].router.choose.weight.grad.abs().sum() > 0
    assert network.auxiliary_losses() == {}


def test_evaluation_has_no_losses_and_uncollected_ones_are_mentioned():
    network = MoH(arch=TINY).eval()
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        network(image)
    assert network.auxiliary_losses() == {}
    network.train()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        network(image)
    with pytest.warns(UserWarning, match='AuxiliaryLossHook'):
        network(image)
