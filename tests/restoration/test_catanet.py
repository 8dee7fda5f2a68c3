"""CATANet: token centres, patches at sizes that the authors' code gets wrong."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.attention.aggregation import chunk_means, grouped_attention, grouping_order, k_means_step
from denseformer.attention.patches import average_patches, extract_patches, stepped_starts
from denseformer.restoration.networks import CATANet


def network(**options) -> CATANet:
    torch.manual_seed(0)
    return CATANet(scale=2, **options)


@pytest.mark.parametrize(('scale', 'parameters'), [(2, 477_435), (3, 549_635), (4, 535_195)])
def test_parameter_counts_are_the_published_ones(scale, parameters):
    assert CATANet.describe('base', scale=scale).parameters == parameters


@pytest.mark.parametrize('with_cp', [False, True])
def test_the_first_training_step_copies_the_centres_and_later_ones_move_them_slowly(with_cp):
    net = network(with_cp=with_cp).train()
    tokens = net.blocks[0].tokens
    image = torch.rand(1, 3, 32, 32)
    net(image).mean().backward()
    first = tokens.means.clone()
    assert bool(tokens.initted)
    torch.testing.assert_close(first.norm(dim=-1), torch.ones(16))
    net(torch.rand(1, 3, 32, 32)).mean().backward()
    assert 0 < (tokens.means - first).norm(dim=-1).max() < 0.01


def test_prediction_leaves_the_centres_alone_and_depends_on_them():
    net = network().train()
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        net(image)
        net.eval()
        before = {key: value.clone() for key, value in net.state_dict().items()}
        out = net(image)
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
        net.blocks[0].tokens.means.neg_()
        assert not torch.allclose(net(image), out)


def test_centres_that_come_without_a_flag_count_as_trained():
    net = network()
    centres = {key: value for key, value in net.state_dict().items() if not key.endswith('initted')}
    net.load_state_dict(centres, strict=False)
    assert all(bool(block.tokens.initted) for block in net.blocks)


@pytest.mark.parametrize('side', [1, 5, 24, 27, 28, 45])
def test_patches_that_change_nothing_leave_a_map_of_any_side_as_it_was(side):
    x = torch.rand(2, side, 31, 3)
    patch = min(side, 28), 28
    starts = stepped_starts(side, patch[0], 26), stepped_starts(31, patch[1], 26)
    patches = extract_patches(x, patch, starts)
    torch.testing.assert_close(average_patches(patches, patch, starts, (side, 31)), x)


def test_three_overlapping_patches_are_averaged_by_three():
    starts = stepped_starts(16 + 2 * 14 + 1, 16, 14)
    assert starts == (0, 14, 28, 29)
    x = torch.rand(1, 45, 16, 2)
    patches = extract_patches(x, (16, 16), (starts, (0,)))
    torch.testing.assert_close(average_patches(patches, (16, 16), (starts, (0,)), (45, 16)), x)


@pytest.mark.parametrize('tokens', [1, 3, 7, 8, 21])
def test_groups_attend_to_themselves_and_the_next(tokens):
    group, heads, width = 4, 2, 3
    order = grouping_order(torch.zeros(2, tokens, dtype=torch.long), group)
    there_and_back = (list(range(tokens)) + list(reversed(range(tokens)))) * 8
    assert order[1].tolist() == there_and_back[: order.shape[1]]
    q, k, v = torch.randn(3, 2, order.shape[1], heads, width)
    out = grouped_attention(q, k, v, group)
    for i in range(0, out.shape[1], group):
        mine, near = slice(i, i + group), slice(i, i + 2 * group)
        logits = torch.einsum('bqhd,bkhd->bhqk', q[:, mine], k[:, near]) * width**-0.5
        expected = torch.einsum('bhqk,bkhd->bqhd', logits.softmax(-1), v[:, near]).flatten(2)
        torch.testing.assert_close(out[:, mine], expected)


def test_a_stable_order_keeps_tokens_of_one_centre_in_raster_order():
    index = torch.randint(0, 3, (1, 600))
    order = grouping_order(index, 4, stable=True)[:, :600]
    assert order.tolist()[0] == sorted(range(600), key=index[0].tolist().__getitem__)


def test_a_centre_without_tokens_stays_in_k_means():
    centres = F.normalize(torch.tensor([[1.0, 0.1], [-1.0, 0.0]]), dim=-1)
    moved = k_means_step(torch.tensor([[[2.0, 0.0], [1.0, 1.0]]]), centres)
    torch.testing.assert_close(moved[1], centres[1])
    torch.testing.assert_close(moved[0], F.normalize(torch.tensor([1 + 0.5**0.5, 0.5**0.5]), dim=-1))


def test_untrained_centres_are_means_of_stretches_of_the_image():
    tokens = torch.arange(5.0).view(1, 5, 1)
    assert chunk_means(tokens, 3).flatten().tolist() == [0.5, 2.5, 4]
    assert chunk_means(tokens, 5).flatten().tolist() == [0.5, 2.5, 4, 2.5, 0.5]
