"""Several processes train as one does on the same global batch, and a killed group goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import forks
import mmengine.device.utils
import pytest
import tiny
import torch
from mmengine.config import Config

from denseformer.checkpoints import newest_checkpoint, read_checkpoint
from denseformer.engine import ConfigError, launch
from denseformer.engine.distributed import (
    LostRankError,
    explain_lost_ranks,
    join_processes,
    process_variables,
    recognized_launcher,
)
from denseformer.options import TrainOptions

tiny.ACTIONS['kill'] = lambda: os.kill(os.getpid(), signal.SIGKILL)


def state(folder):
    return read_checkpoint(newest_checkpoint(folder)[0])['state_dict']


@pytest.mark.parametrize('ranks', [2, 4])
def test_ranks_equal_one_process_with_the_same_global_batch(tmp_path, ranks):
    model = {'dropout': 0.0, 'norm': False}
    tiny.train(tiny.config(tmp_path / 'one', iters=5, batch=8, model=model))

    def work(rank):
        tiny.train(tiny.config(tmp_path / 'many', iters=5, batch=8 // ranks, launcher='pytorch', model=model))

    assert forks.in_processes(ranks, work) == [0] * ranks
    one, many = state(tmp_path / 'one'), state(tmp_path / 'many')
    for name in one:
        torch.testing.assert_close(one[name], many[name], rtol=0, atol=1e-5)


def test_two_accumulated_batches_equal_one_of_twice_the_size(tmp_path):
    settings = dict(model={'dropout': 0.0, 'norm': False}, ema=False)
    one = tiny.config(tmp_path / 'one', iters=2, batch=4, **settings)
    two = tiny.config(tmp_path / 'two', iters=4, batch=2, optim={'accumulative_counts': 2}, **settings)
    for cfg in (one, two):
        cfg.param_scheduler = []
        tiny.train(cfg)
    for name, value in state(tmp_path / 'one').items():
        torch.testing.assert_close(value, state(tmp_path / 'two')[name], rtol=0, atol=1e-5)


def test_two_killed_ranks_go_on_as_if_nothing_had_happened(tmp_path):
    settings = dict(iters=8, interval=3, batch=2, launcher='pytorch', workers=1)

    def whole(rank):
        tiny.train(tiny.config(tmp_path / 'whole', **settings))

    def cut(rank):
        tiny.train(tiny.config(tmp_path / 'cut', **settings, record={'at': 5, 'act': 'kill'}))

    def resumed(rank):
        tiny.train(tiny.config(tmp_path / 'cut', **settings), resume=True)

    assert forks.in_processes(2, whole) == [0, 0]
    assert forks.in_processes(2, cut) == [-signal.SIGKILL] * 2
    assert forks.in_processes(2, resumed) == [0, 0]
    one, two = state(tmp_path / 'whole'), state(tmp_path / 'cut')
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-6)


def test_a_dead_rank_ends_the_others_with_a_message(tmp_path):
    def work(rank):
        act = {'at': 3, 'act': 'kill'} if rank == 1 else {}
        try:
            tiny.train(tiny.config(tmp_path, iters=50, interval=2, batch=2, launcher='pytorch', record=act))
        except LostRankError as error:
            (tmp_path / 'message').write_text(str(error))
            raise SystemExit(3) from error

    began = time.monotonic()
    assert forks.in_processes(2, work) == [3, -signal.SIGKILL]
    assert time.monotonic() - began < 60
    assert 'Another process of this run died' in (tmp_path / 'message').read_text()
    assert newest_checkpoint(tmp_path) == (tmp_path / 'iter_2.pth', [])


def test_a_rank_that_hangs_ends_the_others_with_a_message(tmp_path):
    def hang():
        deadline = time.monotonic() + 60
        while not (tmp_path / 'message_0').exists() and time.monotonic() < deadline:
            time.sleep(0.05)

    tiny.ACTIONS['hang'] = hang

    def work(rank):
        act = {'at': 2, 'act': 'hang'} if rank == 1 else {}
        cfg = tiny.config(tmp_path, iters=4, interval=100, batch=2, launcher='pytorch', record=act)
        cfg.env_cfg.dist_cfg.timeout = 3
        try:
            tiny.train(cfg)
        except LostRankError as error:
            (tmp_path / f'message_{rank}').write_text(str(error.__cause__))

    assert forks.in_processes(2, work) == [0, 0]
    assert 'imed out' in (tmp_path / 'message_0').read_text()


def test_only_errors_of_communication_are_taken_for_a_lost_rank():
    with pytest.raises(LostRankError, match='with --resume'), explain_lost_ranks():
        raise torch.distributed.DistBackendError('NCCL communicator was aborted')
    with pytest.raises(RuntimeError, match='out of memory'), explain_lost_ranks():
        raise RuntimeError('out of memory')


def test_ranks_that_find_different_checkpoints_are_stopped(tmp_path):
    tiny.train(tiny.config(tmp_path / '0', iters=1, interval=1))

    def work(rank):
        with pytest.raises(ConfigError, match='a folder that all machines share'):
            tiny.build(tiny.config(tmp_path / str(rank), iters=2, launcher='pytorch'), resume=True)

    assert forks.in_processes(2, work) == [0, 0]


OF_LAUNCHERS = ('RANK', 'LOCAL_', 'WORLD_SIZE', 'MASTER_', 'TORCHELASTIC_', 'GROUP_', 'ROLE_')


def elastic_worker(folder, settings):
    """One rank of a group that torchrun restarts: the first time, rank 1 dies."""
    torch.set_num_threads(1)  # sums are rounded alike in both runs
    marker = Path(folder) / 'died'
    first = os.environ['RANK'] == '1' and not marker.exists()
    if first:
        marker.touch()
    act = {'at': 5, 'act': 'kill'} if first else {}
    launcher = recognized_launcher('none', os.environ)
    cfg = tiny.config(folder, **settings, launcher=launcher, record=act)
    cfg.env_cfg.dist_cfg.timeout = 60  # ranks that do not find each other are restarted, too
    tiny.train(cfg, resume=True)


def test_torchrun_is_recognized_and_restarts_a_killed_group_which_resumes_by_itself(tmp_path):
    settings = dict(iters=8, interval=3, batch=2)
    whole = dict(**settings, launcher='pytorch')
    assert forks.in_processes(2, lambda rank: tiny.train(tiny.config(tmp_path / 'whole', **whole))) == [0, 0]
    (tmp_path / 'cut').mkdir()
    flags = ['--nproc-per-node=2', '--max-restarts=3', '--monitor-interval=0.1']
    rendezvous = ['--rdzv-backend=c10d', '--rdzv-endpoint=127.0.0.1:0']
    command = [sys.executable, '-m', 'torch.distributed.run', *flags, *rendezvous, __file__, tmp_path / 'cut']
    variables = {name: value for name, value in os.environ.items() if not name.startswith(OF_LAUNCHERS)}
    variables['PYTHONPATH'] = os.pathsep.join(path for path in sys.path if path)
    subprocess.run([*command, json.dumps(settings)], env=variables, check=True, timeout=300)
    assert (tmp_path / 'cut' / 'died').exists()
    one, two = state(tmp_path / 'whole'), state(tmp_path / 'cut')
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-6)


def test_the_variables_of_each_launcher():
    torchrun = {'RANK': '1', 'WORLD_SIZE': '2', 'LOCAL_RANK': '1', 'MASTER_ADDR': 'host', 'MASTER_PORT': '1234'}
    assert process_variables('pytorch', {**torchrun, 'PATH': ''}) == torchrun
    slurm = {'SLURM_PROCID': '1', 'SLURM_NTASKS': '2', 'SLURM_LOCALID': '1', 'MASTER_ADDR': 'host'}
    assert process_variables('slurm', slurm) == {**torchrun, 'MASTER_PORT': '29500'}
    mpi = {f'OMPI_COMM_WORLD_{k}': v for k, v in (('RANK', '1'), ('SIZE', '2'), ('LOCAL_RANK', '1'))}
    assert process_variables('mpi', mpi)['MASTER_ADDR'] == '127.0.0.1'
    with pytest.raises(ValueError, match='-x MASTER_ADDR'):
        process_variables('mpi', {**mpi, 'OMPI_COMM_WORLD_LOCAL_SIZE': '1'})


def test_ranks_with_gpus_meet_anew_after_each_restart(monkeypatch):
    asked, selected, store = {}, [], torch.distributed.HashStore()
    variables = dict(RANK='1', WORLD_SIZE='2', LOCAL_RANK='1', MASTER_ADDR='host', MASTER_PORT='1234')
    for name, value in {**variables, 'TORCHELASTIC_RESTART_COUNT': '2'}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'cuda')
    monkeypatch.setattr(torch.cuda, 'set_device', selected.append)
    monkeypatch.setattr(torch.distributed, 'rendezvous', lambda url, timeout: iter([(store, 1, 2)]))
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda name, **given: asked.update(given, name=name))
    join_processes('pytorch', Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60)))))
    asked.pop('store').set('address', 'mine')
    assert store.get('attempt_2/address') == b'mine'
    assert asked == dict(name='nccl', rank=1, world_size=2, timeout=timedelta(seconds=60))
    assert selected == [1]


def test_how_ranks_meet_is_read_from_the_config(monkeypatch):
    monkeypatch.setattr(launch, 'check_config', lambda config: None)
    options = TrainOptions(launcher='pytorch', cfg_options={'env_cfg.dist_cfg.timeout': 60})
    config = launch.prepare('configs/upernet_dinat_nano_sample.py', options)
    assert config.env_cfg.dist_cfg.timeout == 60
    config.env_cfg.dist_cfg.port = 1234
    with pytest.raises(ValueError, match='takes backend and timeout, not port'):
        join_processes('pytorch', config)


@pytest.mark.parametrize(('launcher', 'command'), [('pytorch', 'torchrun'), ('slurm', 'srun'), ('mpi', 'mpirun')])
def test_a_launcher_that_did_not_start_the_process_is_named(launcher, command):
    with pytest.raises(ValueError, match=f'not set; was the command started by {command}'):
        process_variables(launcher, {})


if __name__ == '__main__':
    elastic_worker(sys.argv[1], json.loads(sys.argv[2]))
