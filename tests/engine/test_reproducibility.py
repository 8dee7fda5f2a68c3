"""2N iterations equal N, a kill, and N more: losses, weights, averaged weights, optimiser and order of samples."""

import os
import signal

import forks
import pytest
import tiny
import torch

from denseformer.checkpoints import newest_checkpoint, read_checkpoint

KILLED = -signal.SIGKILL


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


tiny.ACTIONS['kill'] = kill


def assert_same_state(one, other):
    """Two checkpoints agree in everything training goes on from."""
    for part in ('state_dict', 'ema_state_dict'):
        for name, value in one[part].items():
            torch.testing.assert_close(value, other[part][name], rtol=0, atol=1e-6, msg=f'{part} {name}')
    assert one['param_schedulers'] == other['param_schedulers']
    for index, state in one['optimizer']['state'].items():
        for name, value in state.items():
            torch.testing.assert_close(value, other['optimizer']['state'][index][name], rtol=0, atol=1e-6)


def final(folder):
    path, skipped = newest_checkpoint(folder)
    assert skipped == []
    return read_checkpoint(path)


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('length', [{'iters': 8, 'interval': 3}, {'epochs': 3, 'interval': 1}], ids=['iters', 'epochs'])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path, length, workers):
    settings = dict(length, workers=workers, data={'length': 9})
    _, losses = tiny.train(tiny.config(tmp_path / 'whole', **settings))
    cut = tiny.config(tmp_path / 'cut', **settings, record={'at': 5, 'act': 'kill'})
    assert forks.in_child(lambda: tiny.train(cut)) == KILLED
    _, resumed = tiny.train(tiny.config(tmp_path / 'cut', **settings), resume=True)
    assert sorted(resumed) == sorted(losses)[3:]
    assert resumed == pytest.approx({i: losses[i] for i in resumed}, abs=1e-6)
    assert_same_state(final(tmp_path / 'whole'), final(tmp_path / 'cut'))


def test_a_run_without_a_seed_keeps_the_one_it_drew(tmp_path):
    runner, losses = tiny.train(tiny.config(tmp_path, seed=None, iters=6, interval=6))
    first = tiny.record(runner).files
    assert len(losses) == 6
    runner, _ = tiny.train(tiny.config(tmp_path, seed=None, iters=12, interval=6), resume=True)
    again, _ = tiny.train(tiny.config(tmp_path / 'again', seed=runner.seed, iters=12, interval=6))
    assert {**first, **tiny.record(runner).files} == tiny.record(again).files


def test_validation_changes_nothing_in_training(tmp_path):
    _, plain = tiny.train(tiny.config(tmp_path / 'plain'))
    _, validated = tiny.train(tiny.with_validation(tiny.config(tmp_path / 'validated'), interval=2))
    assert plain == validated


def test_samples_do_not_depend_on_the_number_of_workers(tmp_path):
    _, alone = tiny.train(tiny.config(tmp_path / 'alone', iters=4))
    _, helped = tiny.train(tiny.config(tmp_path / 'helped', iters=4, workers=2))
    assert alone == helped


def test_accumulated_gradients_and_a_resumed_run(tmp_path):
    settings = dict(iters=8, interval=4, optim={'accumulative_counts': 2})
    _, losses = tiny.train(tiny.config(tmp_path / 'whole', **settings))
    cut = tiny.config(tmp_path / 'cut', **settings, record={'at': 7, 'act': 'kill'})
    assert forks.in_child(lambda: tiny.train(cut)) == KILLED
    _, resumed = tiny.train(tiny.config(tmp_path / 'cut', **settings), resume=True)
    assert resumed == {i: losses[i] for i in (5, 6, 7, 8)}


def test_resume_passes_over_broken_checkpoints_and_says_so(tmp_path, caplog):
    _, losses = tiny.train(tiny.config(tmp_path, iters=6, interval=3))
    newest = tmp_path / 'iter_6.pth'
    newest.write_bytes(newest.read_bytes()[:-100])
    path, skipped = newest_checkpoint(tmp_path)
    assert path == tmp_path / 'iter_3.pth'
    assert len(skipped) == 1
    assert 'iter_6.pth' in skipped[0]
    _, resumed = tiny.train(tiny.config(tmp_path, iters=6, interval=3), resume=True)
    assert resumed == {i: losses[i] for i in (4, 5, 6)}


def test_resume_is_idempotent(tmp_path):
    settings = dict(iters=3, interval=3)
    _, losses = tiny.train(tiny.config(tmp_path, **settings), resume=True)
    assert sorted(losses) == [1, 2, 3]
    before = (tmp_path / 'iter_3.pth').read_bytes()
    _, again = tiny.train(tiny.config(tmp_path, **settings), resume=True)
    assert again == {}
    assert (tmp_path / 'iter_3.pth').read_bytes() == before


def test_a_path_that_is_broken_is_named(tmp_path):
    (tmp_path / 'iter_3.pth').write_bytes(b'nothing')
    with pytest.raises(ValueError, match=r'iter_3\.pth: it is incomplete'):
        tiny.build(tiny.config(tmp_path), resume=str(tmp_path / 'iter_3.pth'))
