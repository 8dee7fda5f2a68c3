"""How a training on a Ray cluster begins; `test_ray_end_to_end.py` trains on one."""

import pickle

import pytest
import tiny

from denseformer.checkpoints import newest_checkpoint
from denseformer.config.overrides import REMOVE
from denseformer.engine import ConfigError, on_ray
from denseformer.engine.hooks.preemption import Preempted
from denseformer.engine.run_folder import current_run
from denseformer.options import TrainOptions
from denseformer.signals import EXIT_STATUS


def test_a_restart_finds_no_checkpoint_but_of_its_own_run(tmp_path):
    tiny.train(tiny.config(tmp_path, iters=2, interval=1))
    before = current_run(tmp_path)
    with pytest.raises(ConfigError, match='holds a run already'):
        on_ray.begin(str(tmp_path), TrainOptions(engine='ray'))
    on_ray.begin(str(tmp_path), TrainOptions(engine='ray', resume=True))
    assert newest_checkpoint(tmp_path, current_run(tmp_path))[0] is not None
    on_ray.begin(str(tmp_path), TrainOptions(engine='ray', overwrite=True))
    assert current_run(tmp_path) != before
    assert newest_checkpoint(tmp_path, current_run(tmp_path))[0] is None


def test_a_key_that_is_taken_out_of_the_config_is_taken_out_in_other_processes_too():
    options = pickle.loads(pickle.dumps(TrainOptions(cfg_options={'a.b': REMOVE})))
    assert options.cfg_options['a.b'] is REMOVE


def test_a_process_that_stops_at_its_time_limit_gives_its_exit_status(tmp_path, monkeypatch):
    def stopped(*_):
        raise Preempted(EXIT_STATUS)

    monkeypatch.setattr(on_ray.launch, 'train', stopped)
    monkeypatch.chdir(tmp_path)
    settings = {'config': 'config.py', 'options': TrainOptions(), 'folder': str(tmp_path / 'elsewhere')}
    assert on_ray.train_here(settings) == EXIT_STATUS


def test_what_a_process_says_to_its_user_is_found_among_the_failures():
    exceptions = pytest.importorskip('ray.train.v2._internal.exceptions', reason='Ray is not installed')
    told = FloatingPointError('The loss is NaN.')
    wrapped = [exceptions.UserExceptionWithTraceback(error, 'Traceback') for error in (RuntimeError('lost'), told)]
    assert on_ray.for_users([OSError('died'), *wrapped]) is told
    assert on_ray.for_users(wrapped[:1]) is None


def test_ray_and_a_launcher_do_not_both_start_processes():
    with pytest.raises(ValueError, match='leave out --launcher'):
        TrainOptions(engine='ray', launcher='pytorch')
