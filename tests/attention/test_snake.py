"""Snakes visit every position once, step by step, and say how they came."""

import pytest
import torch

from denseformer.attention.snake import snake_orders

STEPS = {1: (0, 1), 2: (0, -1), 3: (-1, 0), 4: (1, 0)}


@pytest.mark.parametrize('size', [(1, 1), (1, 5), (4, 1), (3, 4), (4, 3), (5, 5)])
def test_every_step_goes_to_the_neighbor_it_names(size):
    orders, inverses, moves = snake_orders(size, torch.device('cpu'))
    H, W = size
    for order, inverse, came in zip(orders.tolist(), inverses.tolist(), moves.tolist(), strict=True):
        assert sorted(order) == list(range(H * W))
        assert [order[step] for step in inverse] == list(range(H * W))
        assert came[0] == 0
        places = [divmod(position, W) for position in order]
        for before, after, move in zip(places, places[1:], came[1:], strict=False):
            assert (after[0] - before[0], after[1] - before[1]) == STEPS[move]


def test_walks_start_where_the_published_ones_do():
    orders, _, _ = snake_orders((3, 4), torch.device('cpu'))
    assert orders[0].tolist() == [0, 1, 2, 3, 7, 6, 5, 4, 8, 9, 10, 11]
    assert orders[2].tolist() == [0, 4, 8, 9, 5, 1, 2, 6, 10, 11, 7, 3]
    assert torch.equal(orders[1], orders[0].flip(0))
    assert torch.equal(orders[3], orders[2].flip(0))
