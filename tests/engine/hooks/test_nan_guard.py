"""A loss or gradient that is no number never reaches the weights."""

import math

import forks
import pytest
import tiny
import torch

from denseformer.engine import NaNGuardHook
from denseformer.engine.hooks.nan_guard import NonFiniteError, replay

SPOILT = {'5.png': math.nan}


def weights(runner) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in runner.model.parameters()])


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_training_stops_before_the_step_and_names_the_files(tmp_path, value):
    runner = tiny.build(tiny.config(tmp_path, iters=8, interval=1, model={'spoil': {'5.png': value}}))
    with pytest.raises(NonFiniteError, match=r'folder/5\.png') as caught:
        runner.train()
    assert 'Iteration' in str(caught.value)
    assert 'lower the learning rate' in str(caught.value)
    assert torch.isfinite(weights(runner)).all()
    saved = torch.load(tmp_path / f'iter_{runner.iter}.pth', weights_only=False) if runner.iter else None
    if saved:
        for name, value in saved['state_dict'].items():
            assert torch.isfinite(value).all(), name


def test_the_dump_reproduces_it(tmp_path):
    runner = tiny.build(tiny.config(tmp_path, iters=8, model={'spoil': SPOILT}))
    with pytest.raises(NonFiniteError):
        runner.train()
    (dump,) = tmp_path.glob('nan_iter_*_rank_0.pth')
    fresh = tiny.TinyModel(spoil=SPOILT)
    assert math.isnan(replay(fresh, dump)['loss'].detach())
    cured = tiny.TinyModel()
    first, second = (replay(cured, dump)['loss'].detach() for _ in range(2))
    assert math.isfinite(first)
    assert first == second


def test_a_gradient_that_overflows_behind_a_finite_loss_is_found(tmp_path):
    runner = tiny.build(tiny.config(tmp_path, iters=2))
    weight = runner.model.head[1].weight
    weight.register_hook(lambda gradient: gradient * math.inf)
    before = weights(runner).clone()
    with pytest.raises(NonFiniteError, match='gradient norm'):
        runner.train()
    assert torch.equal(weights(runner), before)


def test_steps_are_left_out_when_that_is_configured(tmp_path):
    settings = dict(iters=8, model={'spoil': SPOILT}, nan_guard={'skip': 3}, ema=False)
    runner, losses = tiny.train(tiny.config(tmp_path, **settings))
    spoilt = [i for i, loss in losses.items() if math.isnan(loss)]
    assert spoilt
    assert torch.isfinite(weights(runner)).all()
    assert len(losses) == 8
    steps = runner.optim_wrapper.optimizer.state[next(runner.model.parameters())]['step']
    assert steps == 8 - len(spoilt)


def test_too_many_in_a_row_stop_the_run(tmp_path):
    everything = {f'{i}.png': math.nan for i in range(12)}
    runner = tiny.build(tiny.config(tmp_path, iters=8, model={'spoil': everything}, nan_guard={'skip': 2}))
    with pytest.raises(NonFiniteError, match='Iteration 3'):
        runner.train()
    assert tiny.record(runner).losses.keys() == {1, 2}


def test_accumulated_gradients_are_judged_batch_by_batch(tmp_path):
    settings = dict(iters=4, model={'spoil': SPOILT}, optim={'accumulative_counts': 4})
    runner = tiny.build(tiny.config(tmp_path, **settings))
    before = weights(runner).clone()
    with pytest.raises(NonFiniteError, match=r'5\.png'):
        runner.train()
    assert torch.equal(weights(runner), before)


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(ValueError, match='skip=-1'):
        NaNGuardHook(skip=-1)


def test_all_ranks_stop_when_one_meets_it(tmp_path):
    def work(rank):
        cfg = tiny.config(tmp_path, iters=8, batch=2, launcher='pytorch', model={'spoil': SPOILT})
        with pytest.raises(NonFiniteError) as caught:
            tiny.build(cfg).train()
        (tmp_path / f'message_{rank}').write_text(str(caught.value))

    assert forks.in_processes(2, work) == [0, 0]
    messages = [(tmp_path / f'message_{rank}').read_text() for rank in range(2)]
    assert sum('5.png' in message for message in messages) == 1
    assert len(list(tmp_path.glob('nan_*.pth'))) == 2
