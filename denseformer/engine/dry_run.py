"""A dry run: everything is built and run once, to know the cost of a run, and where it would fail, before it starts."""

import resource
import sys
import time
from typing import Any

import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from denseformer.config.errors import ConfigError
from denseformer.engine.feature_cache import frozen_backbone
from denseformer.engine.hooks.feature_cache import FeatureCacheHook
from denseformer.engine.launch import build_runner, prepare
from denseformer.engine.runner import explain_small_batches
from denseformer.engine.validation import in_parts
from denseformer.inspection import doctor
from denseformer.options import TrainOptions

SAMPLES = 50
"""Samples of each split that are read."""


def dry_run(config_path: str, options: TrainOptions) -> dict[str, Any]:
    """Look at a part of the data, build everything, run a training iteration and a validation step, and say the cost.

    Returns parameters (total and trained), seconds per iteration, peak memory in GiB, and hours for the whole run
    without validation. Raises ConfigError where training would, for unsound data or a backbone that learns although its
    maps are to be kept.
    """
    config = prepare(config_path, options)
    check_data(config)
    runner = build_runner(config, options)
    runner.optim_wrapper = runner.build_optim_wrapper(config.optim_wrapper)
    runner.build_param_scheduler(config.get('param_scheduler') or [])
    runner._init_model_weights()
    if any(isinstance(hook, FeatureCacheHook) for hook in runner.hooks):
        frozen_backbone(runner.model)
    batches = iter(runner.train_dataloader)
    runner.model.train()
    with explain_small_batches():
        for _ in range(2):  # the first one warms up
            started = time.perf_counter()
            losses = runner.model.train_step(next(batches), runner.optim_wrapper)
            seconds = time.perf_counter() - started
    if runner._val_dataloader is not None:
        runner.model.eval()
        with torch.no_grad():
            in_parts(runner.model.val_step, next(iter(runner.val_dataloader)))
    parameters = list(runner.model.parameters())
    report = {
        'parameters': sum(p.numel() for p in parameters),
        'trained parameters': sum(p.numel() for p in parameters if p.requires_grad),
        'loss': float(losses['loss'].detach()),
        'iterations': runner.max_iters,
        'seconds per iteration': round(seconds, 3),
        'hours, without validation': round(seconds * runner.max_iters / 3600, 2),
        'peak memory, GiB': round(peak_memory() / 2**30, 2),
    }
    table = Table('dry run', str(config_path))
    for name, value in report.items():
        table.add_row(name, f'{value:,}')
    Console().print(table)
    return report


def check_data(config: Config) -> None:
    """Print what the doctor finds in a sample of each split. Raises ConfigError where errors are among it."""
    reports = doctor.examine(config, limit=SAMPLES)
    if any(report.problems for report in reports.values()):
        doctor.print_reports(reports)
    if doctor.count_errors(reports):
        raise ConfigError(f'{config.filename}: its data is not sound; `denseformer doctor` looks at all of it.')


def peak_memory() -> int:
    """Bytes: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    kilobyte = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte
