"""A run owns its folder, and what an older run left there is not taken for its own."""

import json
import os
import platform
import shutil
import time
from types import SimpleNamespace

import forks
import pytest
import tiny

from denseformer.checkpoints import newest_checkpoint, read_checkpoint
from denseformer.config.errors import ConfigError
from denseformer.engine import launch, run_folder
from denseformer.engine.distributed import rank_in_environment, recognized_launcher
from denseformer.engine.run_folder import acquire, check_free, current_run, owned
from denseformer.options import TrainOptions


def started(cfg, **options):
    """As the command trains: the folder is looked at and held."""
    options = TrainOptions(**options)
    with launch.own_folder(cfg, options):
        runner = launch.build_runner(cfg, options)
        runner.train()
    return runner


def test_a_new_run_in_the_folder_of_another_needs_a_word(tmp_path):
    tiny.train(tiny.config(tmp_path, iters=9, ema=False))
    with pytest.raises(ConfigError, match=r'holds a run already \(iter_6.pth, iter_9.pth.*--resume.*--overwrite'):
        started(tiny.config(tmp_path, iters=3, ema=False))


def test_runs_that_begin_in_the_same_second_share_no_log(tmp_path, monkeypatch):
    clock = SimpleNamespace(time=lambda: 1e9, strftime=time.strftime, localtime=time.localtime)
    monkeypatch.setattr('mmengine.runner.runner.time', clock)
    first, second = (launch.build_runner(tiny.config(tmp_path / name), TrainOptions()) for name in 'ab')
    assert first.message_hub is not second.message_hub
    assert first.visualizer is not second.visualizer
    assert second.timestamp == f'{first.timestamp}_2'


def test_a_resumed_run_goes_on_from_itself_and_not_from_an_older_one(tmp_path):
    old, _ = tiny.train(tiny.config(tmp_path, iters=9, ema=False))
    new = started(tiny.config(tmp_path, iters=3, ema=False), overwrite=True)
    assert new.run_id not in (None, old.run_id)
    assert current_run(tmp_path) == new.run_id
    resumed = started(tiny.config(tmp_path, iters=6, ema=False), resume=True)
    assert sorted(tiny.record(resumed).losses) == [4, 5, 6]
    assert resumed.run_id == new.run_id == read_checkpoint(tmp_path / 'iter_6.pth')['meta']['run']


def test_a_new_run_that_stopped_before_its_first_checkpoint_begins_again(tmp_path):
    tiny.train(tiny.config(tmp_path, iters=9, ema=False))
    run_folder.set_current_run(tmp_path, 'another')
    resumed = started(tiny.config(tmp_path, iters=3, ema=False), resume=True)
    assert sorted(tiny.record(resumed).losses) == [1, 2, 3]


def test_a_checkpoint_of_another_run_is_not_resumed_in_the_folder_without_a_word(tmp_path):
    tiny.train(tiny.config(tmp_path / 'one', iters=3, ema=False))
    tiny.train(tiny.config(tmp_path / 'two', iters=3, ema=False))
    with pytest.raises(ConfigError, match='holds a run already'):
        started(tiny.config(tmp_path / 'two', iters=6, ema=False), resume=str(tmp_path / 'one/iter_3.pth'))


def test_a_copied_folder_resumes_from_its_own_files(tmp_path):
    tiny.train(tiny.config(tmp_path / 'run', iters=6, ema=False))
    shutil.copytree(tmp_path / 'run', tmp_path / 'copy')
    assert newest_checkpoint(tmp_path / 'copy')[0] == tmp_path / 'copy/iter_6.pth'
    tiny.train(tiny.config(tmp_path / 'run', iters=9, ema=False), resume=True)
    (tmp_path / 'copy/iter_6.pth').unlink()
    assert newest_checkpoint(tmp_path / 'copy')[0] == tmp_path / 'copy/iter_3.pth'


def test_two_processes_do_not_train_into_one_folder(tmp_path):
    with owned(tmp_path):
        holder = json.loads((tmp_path / 'run.lock').read_text())
        assert holder == {'pid': os.getpid(), 'host': platform.node()}
        with pytest.raises(ConfigError, match=rf'process {os.getpid()} on .* trains into this folder'), owned(tmp_path):
            pass
    assert not (tmp_path / 'run.lock').exists()


def test_the_lock_of_a_process_that_was_killed_counts_for_nothing(tmp_path):
    assert forks.in_child(lambda: acquire(tmp_path / 'run.lock')) == 0
    with owned(tmp_path):
        assert json.loads((tmp_path / 'run.lock').read_text())['pid'] == os.getpid()


@pytest.mark.parametrize('lives', [True, False])
def test_a_lock_of_another_machine_is_watched_for_signs_of_life(tmp_path, monkeypatch, lives):
    monkeypatch.setattr(run_folder, 'STALE', 0.2)
    lock = tmp_path / 'run.lock'
    lock.write_text('{"pid": 1, "host": "elsewhere"}')
    times = iter(range(100))
    if lives:
        monkeypatch.setattr(run_folder, 'touched', lambda lock: next(times))
        with pytest.raises(ConfigError, match='process 1 on elsewhere'):
            acquire(lock)
    else:
        acquire(lock)
        assert json.loads(lock.read_text())['host'] == platform.node()


def test_a_folder_without_steps_or_checkpoints_is_free(tmp_path):
    (tmp_path / '20260101/vis_data').mkdir(parents=True)
    (tmp_path / '20260101/run.json').write_text('{}')
    (tmp_path / '20260101/vis_data/scalars.json').touch()
    check_free(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match=r'file/run: the folder of the run cannot be made.*another --work-dir'):
        tiny.build(tiny.config(tmp_path / 'file/run'))


def test_a_launcher_is_recognized_from_its_environment():
    assert recognized_launcher('none', {'TORCHELASTIC_RUN_ID': 'none', 'RANK': '1'}) == 'pytorch'
    assert recognized_launcher('none', {'OMPI_COMM_WORLD_SIZE': '2'}) == 'mpi'
    assert recognized_launcher('none', {'RANK': '0', 'SLURM_PROCID': '0'}) == 'none'
    assert recognized_launcher('slurm', {'TORCHELASTIC_RUN_ID': 'x'}) == 'slurm'
    assert rank_in_environment('pytorch', {'RANK': '3'}) == 3
    assert rank_in_environment('none', {'RANK': '3'}) == 0
