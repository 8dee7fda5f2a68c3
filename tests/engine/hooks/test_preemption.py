"""A run that is asked to stop saves, says so by its exit status, and goes on as if it had not stopped."""

import multiprocessing
import os
import signal
import subprocess
import time

import forks
import pytest
import tiny

from denseformer.checkpoints import newest_checkpoint, read_checkpoint
from denseformer.engine.hooks.preemption import EXIT_STATUS, parse_duration

tiny.ACTIONS.update(
    term=lambda: os.kill(os.getpid(), signal.SIGTERM),
    usr1=lambda: os.kill(os.getpid(), signal.SIGUSR1),
    sleep=lambda: time.sleep(0.5),
)


@pytest.mark.parametrize('act', ['term', 'usr1'])
@pytest.mark.parametrize(
    'length', [{'iters': 8, 'interval': 100}, {'epochs': 2, 'interval': 1}], ids=['iters', 'epochs']
)
def test_a_signal_saves_and_the_run_goes_on_from_there(tmp_path, length, act):
    settings = dict(length, data={'length': 12})
    _, losses = tiny.train(tiny.config(tmp_path / 'whole', **settings))
    cut = tiny.config(tmp_path / 'cut', **settings, record={'at': 6, 'act': act})
    assert forks.in_child(lambda: tiny.train(cut)) == EXIT_STATUS
    saved, _ = newest_checkpoint(tmp_path / 'cut')
    assert read_checkpoint(saved)['meta']['iter'] == 6
    _, resumed = tiny.train(tiny.config(tmp_path / 'cut', **settings), resume=True)
    assert resumed == {7: losses[7], 8: losses[8]}
    assert not (tmp_path / 'cut' / 'interrupted.pth').exists()


def test_data_workers_outlive_a_signal_to_all_processes(tmp_path):
    def signal_all():
        job = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
        subprocess.run(['kill', *map(str, job)], check=True)
        time.sleep(0.5)

    tiny.ACTIONS['term_all'] = signal_all
    settings = dict(iters=8, interval=100, workers=2)
    cut = tiny.config(tmp_path, **settings, record={'at': 4, 'act': 'term_all'})
    assert forks.in_child(lambda: tiny.train(cut)) == EXIT_STATUS
    assert read_checkpoint(newest_checkpoint(tmp_path)[0])['meta']['iter'] == 4


def test_data_workers_end_when_the_process_that_began_them_says_so(tmp_path):
    def end_the_workers():
        batches = iter(tiny.build(tiny.config(tmp_path, iters=1, workers=2)).train_loop.dataloader)
        assert [next(batches) is not None for _ in range(2)]  # one of each worker: both have begun
        workers = multiprocessing.active_children()
        assert workers
        for worker in workers:
            worker.terminate()
            worker.join(timeout=20)
        assert [worker.exitcode for worker in workers] == [0] * len(workers)

    assert forks.in_child(end_the_workers) == 0


def test_data_workers_end_with_training(tmp_path):
    runner, _ = tiny.train(tiny.config(tmp_path, iters=1, workers=2))
    assert not multiprocessing.active_children(), runner


def test_accumulation_is_finished_before_leaving(tmp_path):
    cfg = tiny.config(tmp_path, iters=8, optim={'accumulative_counts': 4}, record={'at': 2, 'act': 'term'})
    assert forks.in_child(lambda: tiny.train(cfg)) == EXIT_STATUS
    assert read_checkpoint(newest_checkpoint(tmp_path)[0])['meta']['iter'] == 4


def test_the_time_limit_stops_a_run_before_it_is_over(tmp_path):
    cfg = tiny.config(tmp_path, iters=500, interval=1000, preemption={'time_limit': '1s'})
    began = time.monotonic()
    assert forks.in_child(lambda: tiny.train(cfg)) == EXIT_STATUS
    assert time.monotonic() - began < 30
    assert (tmp_path / 'interrupted.pth').is_file()


def test_a_saved_validation_is_cut_short(tmp_path, monkeypatch):
    def process(self, data_batch, data_samples):
        os.kill(os.getpid(), signal.SIGTERM)
        self.results.append(0)

    monkeypatch.setattr(tiny.TinyMetric, 'process', process)
    cfg = tiny.with_validation(tiny.config(tmp_path, iters=4, interval=2), interval=2, length=50)
    assert forks.in_child(lambda: tiny.train(cfg)) == EXIT_STATUS
    assert read_checkpoint(newest_checkpoint(tmp_path)[0])['meta']['iter'] == 2


def test_the_handlers_are_put_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    tiny.train(tiny.config(tmp_path, iters=1))
    assert signal.getsignal(signal.SIGTERM) is before
    tiny.ACTIONS['fail'] = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        tiny.train(tiny.config(tmp_path, iters=2, record={'at': 1, 'act': 'fail'}))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_to_one_rank_stops_all_at_the_same_iteration(tmp_path):
    def work(rank):
        act = {'at': 3, 'act': 'term'} if rank == 1 else {}
        tiny.train(tiny.config(tmp_path, iters=50, interval=100, batch=2, launcher='pytorch', record=act))

    assert forks.in_processes(2, work) == [EXIT_STATUS] * 2
    assert read_checkpoint(newest_checkpoint(tmp_path)[0])['meta']['iter'] == 3


@pytest.mark.parametrize(
    ('text', 'seconds'), [('11h30m', 41400), ('2d', 172800), ('90s', 90), ('1:30:00', 5400), ('1d2h3m4s', 93784)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize('text', ['', 'soon', '90', '1h 30m', '-1h', '1:30'])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match='is no duration: write 11h30m'):
        parse_duration(text)
