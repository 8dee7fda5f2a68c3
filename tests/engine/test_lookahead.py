"""Lookahead: AdamW between returns, the paper's rule at them, and states that are resumed."""

import pytest
import torch
from mmengine.registry import OPTIMIZERS
from torch import Tensor, nn

from denseformer.engine.lookahead import LookaheadAdamW


def gradient(step: int) -> Tensor:
    return torch.randn(4, generator=torch.Generator().manual_seed(step))


def run(optimizer: torch.optim.Optimizer, weight: Tensor, steps: range) -> list[Tensor]:
    path = []
    for step in steps:
        weight.grad = gradient(step)
        optimizer.step()
        path.append(weight.detach().clone())
    return path


def build(weight: Tensor, **options) -> torch.optim.Optimizer:
    return OPTIMIZERS.build(
        dict(type='denseformer.LookaheadAdamW', params=[weight], lr=0.1, weight_decay=0.01, **options)
    )


def test_returns_to_a_part_of_the_way_every_so_many_steps():
    ours, theirs = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    adamw = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.01)
    optimizer = build(ours, every=3, share=0.25)
    slow = torch.ones(4)
    for step in range(7):
        (mine,), (fast,) = run(optimizer, ours, range(step, step + 1)), run(adamw, theirs, range(step, step + 1))
        if step % 3 == 2:
            slow = fast = slow + 0.25 * (fast - slow)
            theirs.data.copy_(slow)
        torch.testing.assert_close(mine, fast)


def test_resumes_where_it_was():
    whole = nn.Parameter(torch.ones(4))
    path = run(build(whole), whole, range(12))
    first = nn.Parameter(torch.ones(4))
    optimizer = build(first)
    run(optimizer, first, range(7))
    second = nn.Parameter(first.detach().clone())
    resumed = build(second)
    resumed.load_state_dict(optimizer.state_dict())
    assert torch.equal(run(resumed, second, range(7, 12))[-1], path[-1])


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match='every=0'):
        LookaheadAdamW([nn.Parameter(torch.ones(1))], every=0)
