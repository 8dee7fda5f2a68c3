"""Training in processes of a Ray cluster: `train --engine ray`.

Ray Train starts the processes, lets them meet, and starts all of them again when one dies. In each runs `launch.train`,
as under torchrun, with `resume=True`: what stood in the folder before is of another run, or is gone on with.
"""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from denseformer.config.audit import check_config
from denseformer.config.loading import load_config
from denseformer.engine import launch
from denseformer.engine.hooks.preemption import Preempted
from denseformer.engine.run_folder import check_free, make_folder, new_run, owned, set_current_run
from denseformer.options import TrainOptions
from denseformer.ray_cluster import connected, import_ray

RESTARTS = 3
"""How often processes are started again after one of them died or raised. Machines that a cluster takes back with a
warning do not count."""


def train(config_path: str, options: TrainOptions) -> None:
    """Train a config in `options.workers` processes; the folder of the run has to be one that all machines share.

    Leaves with the exit status of a process that stopped at its time limit. Raises what a process raised for its user,
    and ray.train.TrainingFailedError where processes died more than `RESTARTS` times.
    """
    ray = import_ray('train')
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    if options.device not in ('auto', 'cpu', 'cuda'):
        raise ValueError(f'--device {options.device}: Ray chooses the GPUs; leave it out.')
    config = load_config(config_path, options.cfg_options)
    check_config(config)
    folder = os.path.abspath(launch.work_dir_of(config, config_path, options))
    begin(folder, options)
    settings = {
        'config': os.path.abspath(config_path) if Path(config_path).is_file() else config_path,
        'folder': os.getcwd(),
        'options': replace(
            options,
            engine='local',
            workers=None,
            launcher='pytorch',
            work_dir=folder,
            resume=os.path.abspath(options.resume) if isinstance(options.resume, str) else True,
        ),
    }
    meeting = dict((config.get('env_cfg') or {}).get('dist_cfg') or {})
    os.environ['RAY_CHDIR_TO_TRIAL_DIR'] = '0'  # relative paths of a config are meant from where the command runs
    with connected(ray):
        gpus = int(ray.cluster_resources().get('GPU', 0))
        on_gpus = options.device == 'cuda' or (options.device == 'auto' and gpus > 0)
        trainer = TorchTrainer(
            train_here,
            train_loop_config=settings,
            torch_config=TorchConfig(
                backend=meeting.get('backend', 'nccl') if on_gpus else 'gloo', timeout_s=meeting.get('timeout', 1800)
            ),
            scaling_config=ScalingConfig(num_workers=options.workers or (on_gpus and gpus) or 1, use_gpu=on_gpus),
            run_config=RunConfig(
                name=time.strftime('%Y%m%d_%H%M%S'),
                storage_path=os.path.join(folder, 'ray'),
                failure_config=FailureConfig(max_failures=RESTARTS),
            ),
        )
        try:
            status = trainer.fit().return_value
        except ray.train.WorkerGroupError as error:
            if told := for_users(error.worker_failures.values()):
                raise told from error
            raise
    if status:
        sys.exit(status)


def for_users(failures: Iterable[Exception]) -> ValueError | FloatingPointError | None:
    """The first of the processes' failures that says what a user has to do; Ray wraps each with its traceback."""
    causes = (getattr(failure, '_base_exc', failure) for failure in failures)
    return next((cause for cause in causes if isinstance(cause, (ValueError, FloatingPointError))), None)


def begin(folder: str, options: TrainOptions) -> None:
    """Let the folder belong to a new run, unless it is gone on with, so that a restart finds its checkpoints alone.

    Raises ConfigError where another process trains there, and, without --overwrite, where it holds another run.
    """
    make_folder(folder)
    with owned(folder):
        if options.resume:
            return
        if not options.overwrite:
            check_free(folder)
        set_current_run(folder, new_run())


def train_here(settings: dict[str, Any]) -> int:
    """Train in this process of the group that Ray made; returns the exit status."""
    if os.path.isdir(settings['folder']):
        os.chdir(settings['folder'])
    try:
        launch.train(settings['config'], settings['options'])
    except Preempted as stopped:
        return int(stopped.code or 0)
    return 0
